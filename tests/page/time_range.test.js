import assert from "node:assert/strict";
import { test } from "node:test";
import { describeMinutes, parseMinutes } from "../../asyncdsm/agent/page/time_range.js";

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
