// The details of a hop: its latency, its messages and their size, now and over time.

import { fetchLag, fetchSeries } from "./api.js";
import { createChart } from "./chart.js";
import { createFigures, createHint, createHtml, createSection, createWarning } from "./dom.js";
import { createFactsSection, listSchemaMarkers } from "./edge_facts.js";
import {
  describePresent,
  formatBytes,
  formatCount,
  formatDuration,
  formatMoment,
  formatPercent,
  formatRate,
} from "./format.js";
import { nameHopEnds } from "./hop_names.js";
import { timePlace } from "./hops.js";
import { createLagCharts, describeLag, formatLag } from "./lag.js";
import { createName } from "./names.js";
import { createVersionSection } from "./version_table.js";
import { findService, listVersionMarkers } from "./versions.js";

/** @import { RangeQuery } from "./api.js" */
/** @import { Edge, LagSeries, Present, Series, SeriesPoint } from "./api_types.d.ts" */
/** @import { ChartLine } from "./chart.js" */
/** @import { MapModel } from "./map_model.js" */

/**
 * @param {Edge} edge
 * @param {MapModel} map
 * @param {RangeQuery} range
 */
export async function createEdgeDetails(edge, map, range) {
  const [series, lags, versions] = await Promise.all([
    fetchSeries({ edge: edge.id, ...range }),
    fetchLagsOfHop(edge, range),
    createVersionSection(findService(edge, map), map, range, edge),
  ]);
  return [
    createHint(...explainHop(edge, map)),
    createHtml(
      "p",
      { class: `now warm-${edge.present.level}` },
      createHtml("b", {}, map.isPast ? `At ${formatMoment(map.to, Date.now() / 1000)}: ` : "Now: "),
      describeNow(edge.present),
    ),
    Boolean(edge.lag) && createHtml("p", {}, createHtml("b", {}, "Lag: "), describeLag(edge)),
    createLatencyFigures(edge),
    createTrafficFigures(edge),
    createFactsSection(edge),
    edge.clocks_disagree && createWarning(explainClamped(edge)),
    versions,
    ...createCharts(edge, series, map),
    lags.length > 0 &&
      createSection("Lag over time", createLagCharts(lags, map, listVersionMarkers([findService(edge, map)]))),
  ];
}

/**
 * Return how far the group of a hop was behind, in each partition; nothing for a hop that has no lag.
 * @param {Edge} edge
 * @param {RangeQuery} range
 * @returns {Promise<LagSeries[]>}
 */
async function fetchLagsOfHop({ direction, type, queue, group, cluster }, range) {
  if (direction !== "in" || type !== "kafka" || !queue || group === null) return [];
  const { series } = await fetchLag({ topic: queue, group, cluster, ...range });
  return series;
}

/** @param {Edge} edge */
function createLatencyFigures({ edge_latency: latency }) {
  return createFigures(
    ["p50", formatDuration(latency.p50)],
    ["p95", formatDuration(latency.p95)],
    ["p99", formatDuration(latency.p99)],
    ["longest", formatDuration(latency.max)],
  );
}

/** @param {Edge} edge */
function createTrafficFigures(edge) {
  const { rate, count, payload_size: size } = edge;
  return createFigures(
    ["rate", formatRate(rate)],
    ["messages", formatCount(count)],
    ["size p50", formatBytes(size.p50)],
    ["lag", formatLag(edge)],
  );
}

/** @param {Edge} edge */
function explainClamped(edge) {
  return `${formatPercent(edge.clamped)} of these latencies are exactly 0. The clocks of the two hosts disagree.`;
}

/**
 * @param {Edge} edge
 * @param {Series} series
 * @param {MapModel} map
 */
function createCharts(edge, { step, points }, map) {
  const markers = [...listVersionMarkers([findService(edge, map)]), ...listSchemaMarkers(edge)];
  const time = { from: map.from, to: map.to, step, markers: markers.sort((one, other) => one.time - other.time) };
  const rates = [{ name: "messages", shade: 0, points: ratePoints(points) }];
  const latency = { format: formatDuration, ...time };
  return [
    createSection(
      "Over time",
      createChart({ title: `Time ${timePlace(edge)}`, lines: quantileLines(points, "edge_latency"), ...latency }),
      createChart({ title: "End to end, up to here", lines: quantileLines(points, "pathway_latency"), ...latency }),
      createChart({ title: "Messages per second", lines: rates, format: formatRate, ...time }),
    ),
    edge.payload_size.p50 !== null &&
      createSection(
        "Message size",
        createChart({ title: "Payload", lines: quantileLines(points, "payload_size"), format: formatBytes, ...time }),
      ),
  ];
}

/**
 * @param {SeriesPoint[]} points
 * @param {"edge_latency" | "pathway_latency" | "payload_size"} figure
 * @returns {ChartLine[]}
 */
export function quantileLines(points, figure) {
  const quantiles = /** @type {const} */ (["p50", "p95", "p99"]);
  return quantiles.map((name, shade) => ({
    name,
    shade,
    points: points.map((point) => pointAt(point.start, point[figure][name])),
  }));
}

/**
 * Return the points of a line of rates. Steps that are not complete have no rate yet.
 * @param {Pick<SeriesPoint, "start" | "complete" | "rate">[]} points
 */
export function ratePoints(points) {
  return points.filter(({ complete }) => complete).map(({ start, rate }) => pointAt(start, rate));
}

/**
 * @param {number} time
 * @param {number | null} value
 * @returns {[number, number | null]}
 */
const pointAt = (time, value) => [time, value];

/**
 * Describe the last minute, which the figures of the whole range may hide.
 * @param {Present} present
 */
function describeNow(present) {
  const quantile = present.quantile === "p99" ? "p99 " : "";
  const before = present.before === null ? "" : ` (${quantile}${formatDuration(present.before)} before)`;
  return `${describePresent(present)}${before}`;
}

/**
 * Say what the latency of a hop measures.
 * @param {Edge} edge
 * @param {MapModel} map
 */
function explainHop(edge, map) {
  const service = createName(nameHopEnds(edge, map).service);
  if (edge.count > 0 && edge.edge_latency.p50 === null) {
    return ["Pathways begin here: nothing came before from which time could be measured."];
  }
  return edge.direction === "in"
    ? ["Time in queue: from when a message is sent until ", service, " receives it."]
    : ["Time in service: from when ", service, " receives a message until it sends the next one."];
}
