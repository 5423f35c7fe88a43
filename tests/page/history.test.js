import assert from "node:assert/strict";
import { test } from "node:test";
import { formatClock, formatMoment } from "../../asyncdsm/agent/page/format.js";
import { formatTimeField, parseTimeField } from "../../asyncdsm/agent/page/history.js";
import { describePast, parseRange, rangeUntil } from "../../asyncdsm/agent/page/time_range.js";

const MOMENT = new Date(2026, 10, 8, 9, 5).getTime() / 1000;
const DAY = 86_400;

test("a field for a time has the local time to the minute", () => {
  assert.equal(formatTimeField(MOMENT), "2026-11-08T09:05");
  assert.equal(formatTimeField(MOMENT + 59), "2026-11-08T09:05");
});

test("a field for a time names the moment that it shows", () => {
  assert.equal(parseTimeField("2026-11-08T09:05"), MOMENT);
  assert.ok(Number.isNaN(parseTimeField("")));
});

test("a moment has its day, unless that is the day of the other moment", () => {
  const clock = formatClock(MOMENT, false);
  assert.equal(formatMoment(MOMENT, MOMENT + 60), clock);
  assert.match(formatMoment(MOMENT), new RegExp(`8.*${clock}$`));
  assert.match(formatMoment(MOMENT, MOMENT + DAY), new RegExp(`8.*${clock}$`));
});

test("a range of the past is described with its day once", () => {
  const [from, to] = [MOMENT, MOMENT + 600];
  assert.equal(describePast({ from, to }), `${formatMoment(from)} to ${formatClock(to, false)}`);
});

test("an address names a range of the past by two times in order", () => {
  assert.deepEqual(parseRange({ from: "100", to: "700" }), { from: 100, to: 700 });
  assert.deepEqual(parseRange({ from: "100", to: "700", minutes: "60" }), { from: 100, to: 700 });
});

test("times that are no range leave the last minutes", () => {
  const wrong = [
    { from: "700", to: "100" },
    { from: "100", to: "100" },
    { from: "100" },
    { to: "100" },
    { from: "-5", to: "100" },
    { from: "1e2", to: "700" },
    { from: "100", to: "99999999999" },
    { from: "", to: "" },
  ];
  for (const fields of wrong) assert.deepEqual(parseRange(fields), { minutes: "10" }, JSON.stringify(fields));
  assert.deepEqual(parseRange({ from: "x", to: "5", minutes: "60" }), { minutes: "60" });
});

test("a range that ends at a moment is named in whole seconds", () => {
  assert.deepEqual(rangeUntil(1000.4, 600), { from: "400", to: "1000" });
  assert.deepEqual(rangeUntil(100, 600), { from: "0", to: "100" });
});
