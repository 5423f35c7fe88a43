import assert from "node:assert/strict";
import { test } from "node:test";
import { listDifferences, listFigures, nameVersions } from "../../asyncdsm/agent/page/version_table.js";
import { NO_QUANTILES } from "./fixtures.js";

/** @import { VersionNumbers } from "../../asyncdsm/agent/page/api_types.d.ts" */

/**
 * @param {Partial<VersionNumbers>} changes
 * @returns {VersionNumbers}
 */
function makeNumbers(changes) {
  return {
    versions: ["2.0"],
    from: 0,
    to: 60,
    count: 120,
    rate: 2,
    time_in_queue: NO_QUANTILES,
    time_in_service: NO_QUANTILES,
    end_to_end: NO_QUANTILES,
    redelivered_share: null,
    dead_lettered_share: null,
    compared_with: null,
    differences: [],
    ...changes,
  };
}

test("versions that reported together are named together", () => {
  assert.equal(nameVersions(["2.0"]), "2.0");
  assert.equal(nameVersions(["2.0", "2.1"]), "2.0 and 2.1 together");
  assert.equal(nameVersions(["1", "2", "3"]), "1, 2 and 3 together");
  assert.equal(nameVersions([]), "no version");
});

test("differences are sentences, also if there are none", () => {
  const slower = makeNumbers({ compared_with: "2.0", differences: ["time in queue, p99 2.4 times as long since 2.1"] });
  assert.deepEqual(listDifferences([makeNumbers({}), slower]), ["Time in queue, p99 2.4 times as long since 2.1."]);
  assert.deepEqual(listDifferences([makeNumbers({ versions: ["2.1"], compared_with: "2.0" })]), [
    "No large difference since 2.1, or too few messages to compare it with 2.0.",
  ]);
});

test("a figure that no version has is left out", () => {
  const queue = { ...NO_QUANTILES, p50: 0.1, p99: 0.24 };
  const figures = listFigures([makeNumbers({}), makeNumbers({ time_in_queue: queue, redelivered_share: 0 })], {
    to: 60,
  });
  assert.deepEqual(
    figures.map(([name]) => name),
    ["from", "to", "messages", "rate", "in queue p50", "in queue p99", "redelivered"],
  );
  assert.deepEqual(figures[5], ["in queue p99", ["–", "240\u00A0ms"]]);
});
