// The history: a slider and two times that show a range of the past, a sign that the page shows it, and the return to
// now.

import { writeRange } from "./address.js";
import { getElement, setAttribute, setText } from "./dom.js";
import { formatMoment } from "./format.js";
import { describePast, findRangeProblem, rangeUntil } from "./time_range.js";

/** @import { TimeRange } from "./time_range.js" */

const STEP_SECONDS = 60;

/**
 * Return what a field for a date and a time has as its value for a moment, in local time: "2026-11-28T14:03".
 * @param {number} seconds Seconds since the epoch.
 */
export function formatTimeField(seconds) {
  const date = new Date(seconds * 1000);
  const numbers = [date.getMonth() + 1, date.getDate(), date.getHours(), date.getMinutes()];
  const [month, day, hour, minute] = numbers.map((number) => String(number).padStart(2, "0"));
  return `${String(date.getFullYear()).padStart(4, "0")}-${month}-${day}T${hour}:${minute}`;
}

/**
 * Return the moment, in seconds since the epoch, that a field for a date and a time names; NaN if it is not filled in.
 * @param {string} value
 */
export function parseTimeField(value) {
  return new Date(value).getTime() / 1000;
}

export class HistoryBar {
  /** @param {TimeRange} range */
  constructor(range) {
    this.range = range;
    this.bar = getElement("history", HTMLElement);
    this.sign = getElement("past", HTMLElement);
    this.slider = getElement("moment", HTMLInputElement);
    this.sliderText = getElement("moment-text", HTMLElement);
    this.from = getElement("history-begin", HTMLInputElement);
    this.to = getElement("history-end", HTMLInputElement);
    this.closeButton = getElement("history-close", HTMLButtonElement);
    this.isOpen = false;
    this.isMoving = false;
    this.connect();
  }

  connect() {
    this.slider.addEventListener("input", () => {
      this.isMoving = true;
      this.showSliderTime();
    });
    this.slider.addEventListener("change", () => this.moveEnd());
    for (const field of [this.from, this.to]) field.addEventListener("input", () => this.to.setCustomValidity(""));
    getElement("history-form", HTMLFormElement).addEventListener("submit", (event) => this.showTimes(event));
    this.closeButton.addEventListener("click", () => this.close());
  }

  open() {
    this.isOpen = true;
    this.showRange();
  }

  /** Hide the history, and show now. */
  close() {
    this.isOpen = false;
    if (this.range.past()) writeRange({ minutes: this.range.minutes });
    else this.showRange();
  }

  /** Show the selected range. The history stays open as long as the page shows the past. */
  showRange() {
    const past = this.range.past();
    const end = past?.to ?? Date.now() / 1000;
    const hadFocus = this.bar.contains(document.activeElement);
    this.bar.hidden = !(this.isOpen || past);
    if (this.bar.hidden && hadFocus) this.range.select.focus();
    document.body.toggleAttribute("data-past", past !== null);
    setText(
      this.sign,
      past ? `${past.from > Date.now() / 1000 ? "The future" : "The past"}: ${describePast(past)}` : "",
    );
    setText(this.closeButton, past ? "Back to now" : "Close");
    this.from.value = formatTimeField(end - this.range.seconds());
    this.to.value = formatTimeField(end);
    this.showSliderEnd();
  }

  /**
   * Let the slider reach from where the agent's data begin up to now.
   * @param {number | null} oldest Seconds since the epoch.
   */
  setBounds(oldest) {
    const now = Math.ceil(Date.now() / 1000);
    const steps = Math.max(1, Math.ceil((now - (oldest ?? now)) / STEP_SECONDS));
    setAttribute(this.slider, "min", now - steps * STEP_SECONDS);
    setAttribute(this.slider, "max", now);
    if (!this.isMoving) this.showSliderEnd();
  }

  showSliderEnd() {
    this.slider.value = String(this.range.past()?.to ?? this.slider.max);
    this.showSliderTime();
  }

  showSliderTime() {
    const past = this.isMoving ? null : this.range.past();
    const isNow = past === null && this.isAtEnd();
    const text = isNow ? "now" : formatMoment(past?.to ?? Number(this.slider.value), Date.now() / 1000);
    setAttribute(this.slider, "aria-valuetext", text);
    setText(this.sliderText, text);
  }

  isAtEnd() {
    return Number(this.slider.value) > Number(this.slider.max) - STEP_SECONDS;
  }

  /** Show the range that ends where the slider is; at its end, now. */
  moveEnd() {
    this.isMoving = false;
    if (!this.isAtEnd()) writeRange(rangeUntil(Number(this.slider.value), this.range.seconds()));
    else if (this.range.past()) writeRange({ minutes: this.range.minutes });
  }

  /** @param {SubmitEvent} event */
  showTimes(event) {
    event.preventDefault();
    const [from, to] = [parseTimeField(this.from.value), parseTimeField(this.to.value)];
    this.to.setCustomValidity(findRangeProblem(from, to, Date.now() / 1000));
    if (this.to.reportValidity()) writeRange(rangeUntil(to, to - from));
  }
}
