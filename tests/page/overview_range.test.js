import assert from "node:assert/strict";
import { test } from "node:test";
import { formatMoment } from "../../asyncdsm/agent/page/format.js";
import { describeEmptyRange, describeTail } from "../../asyncdsm/agent/page/overview.js";
import { describePast, findRangeProblem } from "../../asyncdsm/agent/page/time_range.js";

/** @param {...number} date */
const at = (...date) => new Date(.../** @type {[number, number]} */ (/** @type {unknown} */ (date))).getTime() / 1000;

test("two times are refused if they are not in order, or in the future", () => {
  assert.equal(findRangeProblem(100, 200, 200), "");
  assert.equal(findRangeProblem(100, 200, 150), ""); // the minute that has begun
  assert.match(findRangeProblem(200, 100, 300), /after the beginning/);
  assert.match(findRangeProblem(Number.NaN, 100, 300), /after the beginning/);
  assert.match(findRangeProblem(100, 100_000, 300), /future/);
  assert.match(findRangeProblem(90_000, 100_000, 300), /future/);
});

test("a range has its years unless all of it is in the present one", () => {
  const year = new Date().getFullYear();
  const [old, begin, end] = [at(2024, 2, 1, 9, 5), at(year, 0, 2, 9, 5), at(year, 0, 2, 10, 5)];
  assert.doesNotMatch(describePast({ from: begin, to: end }), new RegExp(String(year)));
  assert.match(describePast({ from: old, to: end }), new RegExp(`2024.* to .*${year}`));
  assert.match(describePast({ from: old, to: old + 60 }), /2024.* to 09:06$/);
});

test("a time of yesterday has its day, and seconds if they are asked for", () => {
  const midnight = at(new Date().getFullYear(), 0, 2);
  const shown = formatMoment(midnight - 130, midnight + 60, { withSeconds: true });
  assert.match(shown, /1.*, 23:57:50$/);
  assert.equal(formatMoment(midnight + 5, midnight + 60, { withSeconds: true }), "00:00:05");
  assert.match(formatMoment(at(2024, 2, 1, 9, 5)), /2024/);
});

test("an empty map says whether its range is in the future", () => {
  assert.match(describeEmptyRange({ from: 200, isPast: true }, 100), /in the future/);
  assert.match(describeEmptyRange({ from: 50, isPast: true }, 100), /no messages in this range.*back to now/);
  assert.match(describeEmptyRange({ from: 50, isPast: false }, 100), /no messages in this range.*longer/);
});

test("a hop that is sorted by its tail says so", () => {
  const latency = { p50: 0.005, p95: 0.01, p99: 30, max: 31 };
  assert.equal(describeTail({ edge_latency: latency, slowness: 3 }), "3\u00A0s is a tenth of p99");
  assert.equal(describeTail({ edge_latency: { ...latency, p99: 0.05 }, slowness: 0.005 }), "");
  assert.equal(describeTail({ edge_latency: { ...latency, p50: null, p99: null }, slowness: 0 }), "");
});
