// The time range that the page shows: the last minutes, or a range of the past. It is chosen from a list, by the
// history (see history.js), or named by the address.

import { formatMoment, yearOf } from "./format.js";

/** @import { RangeFields } from "./address.js" */
/** @import { RangeQuery } from "./api.js" */

/**
 * @typedef {{ from: number, to: number }} PastRange Seconds since the epoch.
 * @typedef {{ minutes: string } | PastRange} Range
 */

const DEFAULT_MINUTES = "10";
const [HOUR, DAY] = [60, 1440];
// How much longer than the time since a change a range is that shows it.
const BEFORE_CHANGE = 1.25;
// Minutes: no agent keeps less.
const LONGEST_ALWAYS_KEPT = 60;
const LATEST_TIME = 4_000_000_000;
// A field for a time has whole minutes.
const FUTURE_SECONDS = 60;
const PAST = "past";
export const HISTORY = "history";
// The entry of the list that opens the history.

/**
 * Return the minutes that a string names, as a string again; the default if it is not a whole number from 1 to 999999.
 * @param {string | null | undefined} text
 */
export function parseMinutes(text) {
  return text && /^[1-9][0-9]{0,5}$/.test(text) ? text : DEFAULT_MINUTES;
}

/** @param {string | undefined} text */
function parseTime(text) {
  return text && /^[0-9]{1,10}$/.test(text) && Number(text) <= LATEST_TIME ? Number(text) : null;
}

/**
 * Return the range that an address names: from and to if both are times and in order, or else the last minutes.
 * @param {RangeFields} fields
 * @returns {Range}
 */
export function parseRange({ minutes, from, to }) {
  const [first, last] = [parseTime(from), parseTime(to)];
  if (first !== null && last !== null && first < last) return { from: first, to: last };
  return { minutes: parseMinutes(minutes) };
}

/**
 * Return the parameters of a request for a range. The default range has none, because an agent that keeps less than
 * that rejects it, but answers for all that it has.
 * @param {Range} range
 * @returns {RangeQuery}
 */
export function toRangeQuery(range) {
  return isDefaultRange(range) ? {} : range;
}

/** @param {Range} range */
function isDefaultRange(range) {
  return "minutes" in range && range.minutes === DEFAULT_MINUTES;
}

/**
 * Return the range of some length that ends at a moment, in whole seconds, as the address names it.
 * @param {number} end Seconds since the epoch.
 * @param {number} length Seconds.
 * @returns {RangeFields}
 */
export function rangeUntil(end, length) {
  return { from: String(Math.max(0, Math.round(end - length))), to: String(Math.round(end)) };
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

/**
 * Describe a range of the past as in "28 Nov, 14:03 to 14:13", with its years if it is not all in the present one.
 * @param {PastRange} range
 */
export function describePast({ from, to }) {
  const year = new Date().getFullYear();
  const withYear = yearOf(from) !== year || yearOf(to) !== year;
  return `${formatMoment(from, undefined, { withYear })} to ${formatMoment(to, from, { withYear })}`;
}

/**
 * Return what is wrong with two times that are to be shown; empty if nothing is.
 * @param {number} from Seconds since the epoch; NaN if it is not filled in.
 * @param {number} to
 * @param {number} now
 */
export function findRangeProblem(from, to, now) {
  if (!(from < to)) return "The end must be after the beginning.";
  return to > now + FUTURE_SECONDS ? "The end must not be in the future." : "";
}

/** The list of time ranges. A range that is not in it is added while it is selected. */
export class TimeRange {
  /** @param {HTMLSelectElement} select */
  constructor(select) {
    this.select = select;
    /** @type {Range} */
    this.range = { minutes: DEFAULT_MINUTES };
    this.minutes = DEFAULT_MINUTES;
  }

  /**
   * Select the range that the address names.
   * @param {RangeFields} fields
   */
  selectRange(fields) {
    this.range = parseRange(fields);
    if ("minutes" in this.range) this.minutes = this.range.minutes;
    const [value, text] =
      "minutes" in this.range
        ? [this.range.minutes, describeMinutes(Number(this.range.minutes))]
        : [PAST, describePast(this.range)];
    this.select.querySelector("[data-added]")?.remove();
    if (![...this.select.options].some((option) => option.value === value)) this.addOption(value, text);
    this.select.value = value;
  }

  /**
   * @param {string} value
   * @param {string} text
   */
  addOption(value, text) {
    const option = new Option(text, value);
    option.dataset.added = "";
    this.select.querySelector(`[value="${HISTORY}"]`)?.before(option);
  }

  /** @returns {PastRange | null} The range if it is one of the past, which does not move on. */
  past() {
    return "minutes" in this.range ? null : this.range;
  }

  /** @returns {number} The length of the range in seconds. */
  seconds() {
    return "minutes" in this.range ? Number(this.range.minutes) * 60 : this.range.to - this.range.from;
  }

  /**
   * Return a range that ends as this one does and begins before a moment, so that what happened then is seen on charts:
   * one of the list, if it shows the present.
   * @param {number} moment Seconds since the epoch.
   * @param {number | null} [oldest] When the data begin, in seconds since the epoch.
   * @returns {RangeFields}
   */
  reachBack(moment, oldest = null) {
    const past = this.past();
    const end = past?.to ?? Date.now() / 1000;
    const wanted = (end - moment) * BEFORE_CHANGE;
    if (past) return rangeUntil(end, Math.max(wanted, this.seconds()));
    const minutes = [...this.select.options].map(({ value }) => Number(value)).filter((value) => value > 0);
    const listed = minutes.filter((each) => each * 60 >= wanted).sort((one, other) => one - other);
    // An agent that keeps less than that rejects it.
    const kept = oldest === null ? Number.POSITIVE_INFINITY : Math.floor((end - oldest) / 60);
    const best = listed[0] ?? Math.ceil(wanted / 60);
    return { minutes: String(Math.min(best, Math.max(kept, LONGEST_ALWAYS_KEPT))) };
  }

  isDefault() {
    return isDefaultRange(this.range);
  }

  toQuery() {
    return toRangeQuery(this.range);
  }
}
