// Numbers, times and states as text for a person. Where nothing was counted, the text is "–".

/** @import { Present } from "./api_types.d.ts" */

const NOTHING = "–";

const LONGEST_SECONDS = 365 * 86_400;
const NO_BREAK_SPACE = "\u00A0";

/** @typedef {number | null | undefined} Figure A number; null or undefined if nothing was counted. */

/**
 * Write a number, or a string of one, with its unit. A line is never broken between the two.
 * @param {number | string} value
 * @param {string} unit
 */
export const joinUnit = (value, unit) => (unit ? `${value}${NO_BREAK_SPACE}${unit}` : String(value));

/** @param {number} value */
const roundToThreeDigits = (value) => String(Number(value.toPrecision(3)));

/**
 * Format a number in the largest unit that it reaches.
 * @param {number} value
 * @param {[limit: number, length: number, unit: string][]} units Units in ascending order: a value below the limit is
 *   shown in the unit, which is as long as `length`. Limits are such that three digits are never rounded up to 1000.
 */
function formatInUnits(value, units) {
  const [, length, unit] = units.find(([limit]) => value < limit) ?? [0, 1, ""];
  return joinUnit(roundToThreeDigits(value / length), unit);
}

/**
 * Format a duration; one of more than a year, which is that of a clock that is wrong, is "over a year".
 * @param {Figure} seconds
 */
export function formatDuration(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  if (seconds > LONGEST_SECONDS) return "over a year";
  return formatInUnits(seconds, [
    [999.5e-6, 1e-6, "µs"],
    [0.9995, 1e-3, "ms"],
    [120, 1, "s"],
    [7200, 60, "min"],
    [Number.POSITIVE_INFINITY, 3600, "h"],
  ]);
}

/**
 * Format an age or a time to wait in whole units, as in "3 min". Like `format_age` in Python.
 * @param {number} seconds
 */
export function formatAge(seconds) {
  if (seconds < 120) return joinUnit(Math.round(seconds), "s");
  if (seconds < 7200) return joinUnit(Math.round(seconds / 60), "min");
  if (seconds < 172_800) return joinUnit(Math.round(seconds / 3600), "h");
  return seconds > LONGEST_SECONDS ? "over a year" : joinUnit(Math.round(seconds / 86_400), "days");
}

/**
 * Return for how long a service is silent, like `describe_silence` in Python, as a sentence without its full stop.
 * @param {number} seconds
 */
export function describeSilence(seconds) {
  return `Has not reported for ${formatDuration(Math.max(0, seconds))}`;
}

/** @param {Figure} perSecond */
export function formatRate(perSecond) {
  if (perSecond === null || perSecond === undefined) return NOTHING;
  if (perSecond > 0 && perSecond < 0.1) return `${roundToThreeDigits(perSecond * 60)}/min`;
  return `${formatCount(perSecond)}/s`;
}

/** @param {Figure} value */
export function formatCount(value) {
  if (value === null || value === undefined) return NOTHING;
  if (value >= 999.5e9) return `over ${joinUnit(999, "G")}`;
  return formatInUnits(value, [
    [999.5, 1, ""],
    [999.5e3, 1e3, "k"],
    [999.5e6, 1e6, "M"],
    [Number.POSITIVE_INFINITY, 1e9, "G"],
  ]);
}

/** @param {Figure} value */
export function formatBytes(value) {
  if (value === null || value === undefined) return NOTHING;
  if (value >= 999.5e9) return `over ${joinUnit(999, "GB")}`;
  return formatInUnits(value, [
    [999.5, 1, "B"],
    [999.5e3, 1e3, "kB"],
    [999.5e6, 1e6, "MB"],
    [Number.POSITIVE_INFINITY, 1e9, "GB"],
  ]);
}

/** @param {Figure} share From 0 to 1. */
export function formatPercent(share) {
  if (share === null || share === undefined) return NOTHING;
  return joinUnit(share > 0 && share < 0.01 ? "<1" : Math.round(share * 100), "%");
}

/**
 * Format a number of things, as in "1 service" and "2 services".
 * @param {number} number
 * @param {string} noun A noun in the singular.
 */
export function formatQuantity(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/**
 * Format the local time of day.
 * @param {number} seconds Seconds since the epoch.
 * @param {boolean} [withSeconds]
 */
export function formatClock(seconds, withSeconds = true) {
  /** @type {Intl.DateTimeFormatOptions} */
  const parts = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (withSeconds) parts.second = "2-digit";
  return new Date(seconds * 1000).toLocaleTimeString(undefined, parts);
}

/** @param {number} seconds Seconds since the epoch. */
export const yearOf = (seconds) => new Date(seconds * 1000).getFullYear();

/**
 * Format the local day and time of day, as in "28 Nov, 14:03"; the day is left out if it is that of another moment, and
 * the year, by default, if it is the present one.
 * @param {number} seconds Seconds since the epoch.
 * @param {number} [other] Seconds since the epoch.
 * @param {{ withSeconds?: boolean, withYear?: boolean }} [options]
 */
export function formatMoment(seconds, other, options = {}) {
  const { withSeconds = false, withYear = yearOf(seconds) !== new Date().getFullYear() } = options;
  const [day, otherDay] = [seconds, other].map((each) => each !== undefined && new Date(each * 1000).toDateString());
  const clock = formatClock(seconds, withSeconds);
  if (day === otherDay) return clock;
  /** @type {Intl.DateTimeFormatOptions} */
  const parts = { day: "numeric", month: "short" };
  if (withYear) parts.year = "numeric";
  return `${new Date(seconds * 1000).toLocaleDateString(undefined, parts)}, ${clock}`;
}

/**
 * Format a local time for who reads it now: the day is told unless it is today.
 * @param {number} seconds Seconds since the epoch.
 * @param {{ withSeconds?: boolean }} [options]
 */
export const formatSince = (seconds, options) => formatMoment(seconds, Date.now() / 1000, options);

/**
 * Format a local time where there is little room: the time of day if it is today, otherwise the day alone.
 * @param {number} seconds Seconds since the epoch.
 */
export const formatBriefly = (seconds) => formatSince(seconds).replace(/, [^,]*$/, "");

/**
 * Say of when the figures of the present are: "last minute", or in the past "minute before 14:13".
 * @param {{ to: number, isPast: boolean }} map
 */
export function describeLastMinute({ to, isPast }) {
  return isPast ? `minute before ${formatMoment(to, Date.now() / 1000)}` : "last minute";
}

/**
 * Join the parts of a string that are not empty.
 * @param {string} separator
 * @param {(string | false | null | undefined)[]} parts
 */
export function joinTexts(separator, parts) {
  return parts.filter(Boolean).join(separator);
}

/**
 * Describe what a hop is like now, as in "5 ms, p99 30 s, 12/s, slower since 14:05". Where pathways begin, there is no
 * latency.
 * @param {Present} present
 */
export function describePresent(present) {
  const change = describeChange(present);
  if (present.state === "idle") return change || "idle";
  const median = present.label !== NOTHING && present.label;
  return joinTexts(", ", [median, present.tail && `p99 ${present.tail}`, formatRate(present.rate), change]);
}

/**
 * Describe since when a hop is as it is now; empty if it has not changed lately.
 * @param {Present} present
 */
export function describeChange(present) {
  return present.since === null ? "" : `${present.state} since ${formatSince(present.since)}`;
}
