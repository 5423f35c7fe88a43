import assert from "node:assert/strict";
import { test } from "node:test";
import { describeChart, formatLine, formatTimes, roundUpForAxis } from "../../asyncdsm/agent/page/chart.js";
import { quantileLines, ratePoints } from "../../asyncdsm/agent/page/edge_details.js";
import { formatClock, formatMoment } from "../../asyncdsm/agent/page/format.js";
import { NO_QUANTILES } from "./fixtures.js";

const SCALES = { x: (/** @type {number} */ time) => time, y: (/** @type {number} */ value) => 100 - value };

test("an axis ends at a round number above the highest value", () => {
  const expected = [
    [0, 1],
    [1, 1],
    [1.1, 2],
    [35, 40],
    [0.0072, 0.008],
    [9.5, 10],
  ];
  for (const [value = 0, rounded = 0] of expected) {
    assert.ok(Math.abs(roundUpForAxis(value) - rounded) < 1e-9, `${value} gives ${roundUpForAxis(value)}`);
  }
});

test("a line joins points that are a step apart", () => {
  assert.equal(
    formatLine(
      [
        [0, 1],
        [10, 2],
        [20, 3],
      ],
      10,
      SCALES,
    ),
    "M0.0 99.0h0L10.0 98.0L20.0 97.0",
  );
});

test("a line is broken where nothing was counted", () => {
  assert.equal(
    formatLine(
      [
        [0, 1],
        [10, null],
        [20, 3],
      ],
      10,
      SCALES,
    ),
    "M0.0 99.0h0M20.0 97.0h0",
  );
  assert.equal(formatLine([[0, null]], 10, SCALES), "");
});

test("a chart is described by the latest and the highest value of each line", () => {
  const lines = [
    {
      name: "p50",
      shade: 0,
      points: /** @type {[number, number | null][]} */ ([
        [0, 4],
        [10, 2],
        [20, null],
      ]),
    },
    { name: "p99", shade: 1, points: [] },
  ];
  const chart = { title: "This hop", lines, format: String, from: 0, to: 100 };
  assert.equal(describeChart(chart), "This hop: p50 2, at most 4; p99: no data");
});

test("a chart names the markers in its time, each with its time, and with its day if that is not today", () => {
  const markersOf = (/** @type {number} */ from) => {
    const markers = [
      { time: from - 5, label: "version 1" },
      { time: from + 50, label: "version 2" },
      { time: from + 91, label: "version 3" },
    ];
    return describeChart({ title: "Rate", lines: [], format: String, from, to: from + 90, markers });
  };
  const noon = new Date().setHours(12, 0, 0, 0) / 1000;
  assert.equal(markersOf(noon), `Rate: version 2 since ${formatClock(noon + 50, false)}`);
  assert.match(markersOf(noon - 86_400 * 2), /version 2 since .*\d.*, 12:00$/);
});

test("a time axis tells the day where one begins, and that of its beginning unless it is today", () => {
  const midnight = new Date().setHours(0, 0, 0, 0) / 1000;
  const dayOf = (/** @type {number} */ time) => formatMoment(time).split(", ")[0];
  const format = (/** @type {number[]} */ ...times) => formatTimes(times, { withSeconds: false });
  assert.deepEqual(format(midnight, midnight + 600, midnight + 1200), ["00:00", "00:10", "00:20"]);
  assert.deepEqual(format(midnight - 600, midnight, midnight + 600), [
    `${dayOf(midnight - 600)}, 23:50`,
    `${dayOf(midnight)}, 00:00`,
    "00:10",
  ]);
  assert.deepEqual(format(midnight - 1800, midnight - 1200, midnight - 600), [
    `${dayOf(midnight - 600)}, 23:30`,
    "23:40",
    "23:50",
  ]);
  assert.match(formatTimes([midnight], { withSeconds: true })[0] ?? "", /^00:00:00$/);
});

test("a rate is known of complete steps only, so that its line does not dip at its end", () => {
  const point = { complete: true, rate: 2 };
  assert.deepEqual(
    ratePoints([
      { start: 60, ...point },
      { start: 70, ...point, complete: false },
    ]),
    [[60, 2]],
  );
});

test("quantiles over time make one line each", () => {
  const figures = {
    edge_latency: { ...NO_QUANTILES, p50: 1 },
    pathway_latency: NO_QUANTILES,
    payload_size: NO_QUANTILES,
  };
  const lines = quantileLines([{ start: 60, complete: true, count: 1, rate: 1, ...figures }], "edge_latency");
  assert.deepEqual(
    lines.map(({ name, points }) => [name, points]),
    [
      ["p50", [[60, 1]]],
      ["p95", [[60, null]]],
      ["p99", [[60, null]]],
    ],
  );
});
