import assert from "node:assert/strict";
import { test } from "node:test";
import {
  describeChange,
  describePresent,
  formatBytes,
  formatClock,
  formatCount,
  formatDuration,
  formatPercent,
  formatQuantity,
  formatRate,
  formatSince,
  joinTexts,
} from "../../asyncdsm/agent/page/format.js";
import { makePresent } from "./fixtures.js";

process.env.TZ = "UTC";

/**
 * @template Value
 * @param {(value: Value) => string} format
 * @param {[Value, string][]} expected
 */
function assertFormats(format, expected) {
  assert.deepEqual(
    expected.map(([value]) => [value, format(value)]),
    expected,
  );
}

test("a figure of which nothing was counted is shown as a dash", () => {
  for (const format of [formatDuration, formatRate, formatCount, formatBytes, formatPercent]) {
    assert.equal(format(null), "–");
    assert.equal(format(undefined), "–");
  }
});

test("a rate below one in ten seconds is shown per minute", () => {
  assertFormats(formatRate, [
    [0, "0/s"],
    [0.05, "3/min"],
    [0.1, "0.1/s"],
    [21.44, "21.4/s"],
    [12345, "12.3\u00A0k/s"],
  ]);
});

test("a count is shown with a prefix that leaves at most three digits", () => {
  assertFormats(formatCount, [
    [0, "0"],
    [999, "999"],
    [999.5, "1\u00A0k"],
    [1234567, "1.23\u00A0M"],
    [999.6e6, "1\u00A0G"],
    [1e300, "over 999\u00A0G"],
  ]);
});

test("a size is shown in bytes, kilobytes, megabytes or gigabytes", () => {
  assertFormats(formatBytes, [
    [12, "12\u00A0B"],
    [1500, "1.5\u00A0kB"],
    [2500000, "2.5\u00A0MB"],
    [999.5e3, "1\u00A0MB"],
    [5e9, "5\u00A0GB"],
    [1e300, "over 999\u00A0GB"],
  ]);
});

test("a share is rounded, but one that is not zero is never shown as zero", () => {
  assertFormats(formatPercent, [
    [0, "0\u00A0%"],
    [0.004, "<1\u00A0%"],
    [0.015, "2\u00A0%"],
    [1, "100\u00A0%"],
  ]);
});

test("a quantity has its noun in the plural, unless it is one", () => {
  assert.equal(formatQuantity(0, "queue"), "0 queues");
  assert.equal(formatQuantity(1, "queue"), "1 queue");
  assert.equal(formatQuantity(2, "queue"), "2 queues");
});

test("a time is shown on the 24-hour clock, with or without seconds", () => {
  assert.equal(formatClock(14 * 3600 + 5 * 60 + 20), "14:05:20");
  assert.equal(formatClock(14 * 3600 + 5 * 60 + 20, false), "14:05");
  assert.equal(formatClock(0), "00:00:00");
});

test("parts of a text that are empty are left out", () => {
  assert.equal(joinTexts(" · ", ["a", "", null, undefined, false, "b"]), "a · b");
});

test("a steady hop is described by its median and its rate", () => {
  assert.equal(describePresent(makePresent()), "5 ms, 2/s");
});

const ONE_O_CLOCK = new Date().setHours(1, 0, 0, 0) / 1000;

test("since when something is so has its day unless that is today", () => {
  const yesterday = new Date(new Date().setHours(-1, 58, 0, 0));
  assert.equal(formatSince(ONE_O_CLOCK, { withSeconds: true }), "01:00:00");
  assert.match(formatSince(yesterday.getTime() / 1000), new RegExp(`\\b${yesterday.getDate()}\\b.*, 23:58$`));
  assert.match(formatSince(3600), /1970.*, 01:00$/);
});

test("a hop with a long tail that became slower is described with both", () => {
  const present = makePresent({ tail: "30 s", state: "slower", since: ONE_O_CLOCK });
  assert.equal(describePresent(present), "5 ms, p99 30 s, 2/s, slower since 01:00");
  assert.equal(describeChange(present), "slower since 01:00");
});

test("an idle hop is described by nothing but since when", () => {
  assert.equal(describePresent(makePresent({ state: "idle", since: ONE_O_CLOCK })), "idle since 01:00");
  assert.equal(describePresent(makePresent({ state: "idle" })), "idle");
});
