// Which time is shown: the last minutes, chosen from a list or by the address, which may have any number of them.

const USUAL = "10";
const [HOUR, DAY] = [60, 1440];

export class Range {
  constructor(select) {
    this.select = select;
  }

  // The usual range for what is no number of minutes.
  static minutesOf(text) {
    return /^[1-9][0-9]{0,5}$/.test(text ?? "") ? text : USUAL;
  }

  // Shows the range that an address names; one that is not in the list is added to it, in place of the one before.
  show(text) {
    const minutes = Range.minutesOf(text);
    if (![...this.select.options].some((option) => option.value === minutes)) {
      this.select.querySelector("[data-added]")?.remove();
      const option = new Option(`Last ${lengthOf(Number(minutes))}`, minutes);
      option.dataset.added = "";
      this.select.append(option);
    }
    this.select.value = minutes;
  }

  isUsual() {
    return this.select.value === USUAL;
  }

  // Nothing for the usual range: an agent that keeps less shows all that it has.
  query() {
    return this.isUsual() ? {} : { minutes: this.select.value };
  }
}

function lengthOf(minutes) {
  if (minutes % DAY === 0) return minutes === DAY ? "day" : `${minutes / DAY} days`;
  return minutes % HOUR === 0 && minutes > HOUR ? `${minutes / HOUR} hours` : `${minutes} min`;
}
