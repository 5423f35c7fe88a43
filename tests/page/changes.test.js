import assert from "node:assert/strict";
import { test } from "node:test";
import { describeKind, describeLevels } from "../../asyncdsm/agent/page/changes.js";
import { formatClock } from "../../asyncdsm/agent/page/format.js";
import { describeUsual } from "../../asyncdsm/agent/page/overview.js";
import { makeChange, makePresent, NO_QUANTILES } from "./fixtures.js";

const NOW = new Date().setHours(12, 0, 0, 0) / 1000;
const CLOCK = formatClock(NOW - 60, false);

/** @param {Parameters<typeof makeChange>[0]} fields */
const describe = (fields) => {
  const change = makeChange({ since: NOW - 60, ...fields });
  return [describeKind(change), describeLevels(change)];
};

test("a slower hop is described by its latencies and since when", () => {
  const fields = { before: 0.31, now: 4.2 };
  assert.deepEqual(describe({ kind: "slower", ...fields }), [
    "slower",
    `in queue 310\u00A0ms → 4.2\u00A0s since ${CLOCK}`,
  ]);
});

test("a hop whose tail alone is slower is described by its 99th percentile", () => {
  const fields = { before: 0.031, now: 4.2, quantile: /** @type {const} */ ("p99") };
  assert.deepEqual(describe({ kind: "slower", ...fields }), [
    "slower",
    `p99 in queue 31\u00A0ms → 4.2\u00A0s since ${CLOCK}`,
  ]);
});

test("a rate is described in messages per second", () => {
  assert.deepEqual(describe({ kind: "rate fell", before: 20, now: 0 }), ["rate fell", `20/s → 0/s since ${CLOCK}`]);
});

test("a lag that grows is described by the age of its oldest message", () => {
  const found = describe({ kind: "lag grows", now: 180 });
  assert.deepEqual(found, ["lag grows", `oldest unread message 3\u00A0min since ${CLOCK}`]);
});

test("a quiet service is described by its last report", () => {
  assert.deepEqual(describe({ kind: "quiet", edge: null }), ["quiet", `since ${CLOCK}`]);
});

test("a new hop and a new service are told apart", () => {
  assert.deepEqual(describe({ kind: "new" }), ["new", `since ${CLOCK}`]);
  assert.deepEqual(describe({ kind: "new", edge: null }), ["new service", `since ${CLOCK}`]);
});

test("a version is described by its name and the one before", () => {
  const fields = { kind: /** @type {const} */ ("version"), edge: null, before: "1.0", now: "2.0" };
  assert.deepEqual(describe(fields), ["version 2.0", `1.0 → 2.0 since ${CLOCK}`]);
});

test("a change is compared with the same hour of the day before", () => {
  const fields = { kind: /** @type {const} */ ("slower"), before: 0.31, now: 4.2 };
  const [, unusual] = describe({ ...fields, usual: 0.3 });
  assert.equal(unusual, `in queue 310\u00A0ms → 4.2\u00A0s since ${CLOCK}, 300\u00A0ms at this hour of the day before`);
  const [, usual] = describe({ ...fields, usual: 4, is_usual: true });
  assert.equal(usual, `in queue 310\u00A0ms → 4.2\u00A0s since ${CLOCK}, as at this hour of the day before`);
});

test("the present is shown beside the usual", () => {
  const present = makePresent({ edge_latency: { ...NO_QUANTILES, p50: 4.2 } });
  const usual = { edge: "e1", p50: 0.31, rate: 2 };
  assert.equal(describeUsual(present, usual, { isPast: false }), "now 4.2\u00A0s, usual 310\u00A0ms");
  assert.equal(describeUsual(present, usual, { isPast: true }), "then 4.2\u00A0s, usual 310\u00A0ms");
});

test("a hop that is back to usual says what it took until then, and what it takes now", () => {
  const fields = { kind: /** @type {const} */ ("back to usual"), before: 4.2, now: 0.31, direction: "in" };
  assert.deepEqual(describe(fields), ["back to usual", `in queue 4.2\u00A0s → 310\u00A0ms since ${CLOCK}`]);
});
