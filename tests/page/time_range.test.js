import assert from "node:assert/strict";
import { test } from "node:test";
import { describeMinutes, parseMinutes, TimeRange } from "../../asyncdsm/agent/page/time_range.js";

test("a whole number of minutes is taken as it is", () => {
  for (const text of ["1", "90", "7200", "999999"]) assert.equal(parseMinutes(text), text);
});

test("anything else than a whole number of minutes gives the default range", () => {
  for (const text of ["0", "-5", "1e3", "abc", "", " 5", "05", "1.5", "1000000", undefined, null]) {
    assert.equal(parseMinutes(text), "10", String(text));
  }
});

test("a range is described in days or hours if it is a whole number of them", () => {
  const expected = {
    5: "Last 5 min",
    60: "Last 60 min",
    90: "Last 90 min",
    120: "Last 2 hours",
    1440: "Last day",
    1500: "Last 25 hours",
    7200: "Last 5 days",
  };
  for (const [minutes, text] of Object.entries(expected)) assert.equal(describeMinutes(Number(minutes)), text);
});

/** @param {import("../../asyncdsm/agent/page/time_range.js").Range} range */
function makeTimeRange(range) {
  const options = ["5", "10", "60", "360", "1440", "history"].map((value) => ({ value }));
  const made = new TimeRange(/** @type {any} */ ({ options }));
  made.range = range;
  return made;
}

test("a range of the present reaches back to a moment as one of the list, or as far as data are kept", () => {
  const now = Date.now() / 1000;
  const reach = (/** @type {number} */ minutes, /** @type {number} */ kept) =>
    makeTimeRange({ minutes: "10" }).reachBack(now - minutes * 60, now - kept * 60 - 1).minutes;
  assert.deepEqual(
    [reach(7, 90), reach(30, 45), reach(70, 5000), reach(70, 90), reach(2999, 5000)],
    ["10", "60", "360", "90", "3749"],
  );
});

test("a range of the past reaches back to a moment with the end that it has", () => {
  assert.deepEqual(makeTimeRange({ from: 9400, to: 10_000 }).reachBack(8000), { from: "7500", to: "10000" });
});
