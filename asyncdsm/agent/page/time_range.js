// The time range that the page shows: the last minutes, chosen from a list or named by the address.

/** @import { RangeQuery } from "./api.js" */

const DEFAULT_MINUTES = "10";
const [HOUR, DAY] = [60, 1440];

/**
 * Return the minutes that a string names, as a string again; the default if it is not a whole number from 1 to 999999.
 * @param {string | null | undefined} text
 */
export function parseMinutes(text) {
  return text && /^[1-9][0-9]{0,5}$/.test(text) ? text : DEFAULT_MINUTES;
}

/**
 * Describe a range as in "Last 90 min", "Last 2 hours", "Last day".
 * @param {number} minutes
 */
export function describeMinutes(minutes) {
  if (minutes === DAY) return "Last day";
  if (minutes % DAY === 0) return `Last ${minutes / DAY} days`;
  return minutes % HOUR === 0 && minutes > HOUR ? `Last ${minutes / HOUR} hours` : `Last ${minutes} min`;
}

/** The list of time ranges. */
export class TimeRange {
  /** @param {HTMLSelectElement} select */
  constructor(select) {
    this.select = select;
  }

  /**
   * Select the range that the address names. A range that is not in the list is added to it, and replaces the one that
   * was added before.
   * @param {string | undefined} text
   */
  selectMinutes(text) {
    const minutes = parseMinutes(text);
    if (![...this.select.options].some((option) => option.value === minutes)) this.addOption(minutes);
    this.select.value = minutes;
  }

  /** @param {string} minutes */
  addOption(minutes) {
    this.select.querySelector("[data-added]")?.remove();
    const option = new Option(describeMinutes(Number(minutes)), minutes);
    option.dataset.added = "";
    this.select.append(option);
  }

  isDefault() {
    return this.select.value === DEFAULT_MINUTES;
  }

  /**
   * Return the parameters of a request for the range. The default range has none, because an agent that keeps less than
   * that rejects it, but answers for all that it has.
   * @returns {RangeQuery}
   */
  toQuery() {
    return this.isDefault() ? {} : { minutes: this.select.value };
  }
}
