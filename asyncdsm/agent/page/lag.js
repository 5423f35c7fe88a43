// How far consumer groups are behind: in messages and in seconds, now and over time, and whether they catch up.

import { createChart } from "./chart.js";
import { createHtml } from "./dom.js";
import { formatAge, formatCount, formatDuration, joinTexts } from "./format.js";
import { joinEnds } from "./hop_names.js";
import { listEdges } from "./map_model.js";
import { cleanName, createName } from "./names.js";

/** @import { Edge, LagPoint, LagSeries, PartitionLag } from "./api_types.d.ts" */
/** @import { ChartMarker } from "./chart.js" */
/** @import { LinkedNode, MapModel } from "./map_model.js" */

const MAX_LINES = 8;
const SHADES = 3;
const DEFAULT_STEP_SECONDS = 60;

/**
 * Format the lag of a hop for where there is little room, as in "1.24 k, 3 min".
 * @param {Pick<Edge, "lag" | "lag_seconds">} edge
 */
export function formatLag({ lag, lag_seconds: seconds }) {
  return joinTexts(", ", [formatCount(lag), Boolean(lag) && typeof seconds === "number" && formatAge(seconds)]);
}

/**
 * Describe the lag of a hop, as in "1,240 messages, 3 min old, catching up, done in about 4 min".
 * @param {Pick<Edge, "lag" | "lag_seconds" | "lag_trend" | "lag_done_in">} edge
 */
export function describeLag({ lag, lag_seconds: seconds, lag_trend: trend, lag_done_in: doneIn }) {
  if (lag === null) return "unknown";
  if (lag === 0) return "nothing unread";
  return joinTexts(", ", [
    `${lag.toLocaleString("en-US")} message${lag === 1 ? "" : "s"}`,
    seconds !== null && `${formatAge(seconds)} old`,
    trend,
    doneIn !== null && `done in about ${formatAge(doneIn)}`,
  ]);
}

/** @param {string | null} name */
const nameOf = (name) => cleanName(name ?? "");

/**
 * Say of each group that reads at a node how far it is behind.
 * @param {LinkedNode} node
 */
export function createLagSummary(node) {
  const reads = listEdges(node.kind === "queue" ? node.outgoing : node.incoming).filter((edge) => edge.lag !== null);
  const groups = new Map(reads.map((edge) => [JSON.stringify([edge.group, edge.queue, edge.cluster]), edge]));
  return [...groups.values()].map((edge) => {
    const group = createHtml("span", {}, "group ", createName(nameOf(edge.group)));
    return createHtml("p", {}, joinEnds(createName(nameOf(edge.queue)), group), `: ${describeLag(edge)}`);
  });
}

/**
 * Create a chart of unread messages, and one of the age of the oldest.
 * @param {LagSeries[]} lags
 * @param {Pick<MapModel, "from" | "to">} map
 * @param {ChartMarker[]} markers
 */
export function createLagCharts(lags, { from, to }, markers) {
  const worst = lags.toSorted((one, other) => latestOf(other).behind - latestOf(one).behind).slice(0, MAX_LINES);
  const time = { from, to, step: findStep(lags), markers };
  return [
    createChart({ title: "Unread messages", lines: lagLines(worst, "behind"), format: formatCount, ...time }),
    createChart({ title: "Age of the oldest", lines: lagLines(worst, "seconds"), format: formatDuration, ...time }),
  ];
}

/**
 * @param {LagSeries[]} lags
 * @param {"behind" | "seconds"} figure
 */
export function lagLines(lags, figure) {
  const hasTopics = new Set(lags.map((lag) => lag.topic)).size > 1;
  return lags.map((lag, index) => ({
    name: [lag.group, ...(hasTopics ? [lag.topic] : []), lag.partition].map((each) => cleanName(each)).join(" "),
    shade: index % SHADES,
    points: lag.points.map((point) => /** @type {[number, number | null]} */ ([point.start, point[figure]])),
  }));
}

/**
 * Create a table of partitions. A group or a topic that all of them have in common is left out: the summary names it.
 * @param {LagSeries[]} lags
 * @param {Pick<MapModel, "lags">} map
 */
export function createLagTable(lags, map) {
  const differing = /** @type {const} */ (["group", "topic"]).filter(
    (name) => new Set(lags.map((lag) => lag[name])).size > 1,
  );
  const names = [...differing, "partition", "messages", "oldest", "trend"];
  const head = names.map((name) => createHtml("th", { scope: "col" }, name));
  return createHtml(
    "table",
    {},
    createHtml("thead", {}, createHtml("tr", {}, head)),
    createHtml(
      "tbody",
      {},
      lags.map((lag) => createLagRow(lag, differing, findPartition(lag, map))),
    ),
  );
}

/**
 * @param {LagSeries} lag
 * @param {("group" | "topic")[]} differing
 * @param {PartitionLag | undefined} now
 */
function createLagRow(lag, differing, now) {
  // As the summary: the map and the series may have been read at different moments.
  const { behind, seconds } = now ?? latestOf(lag);
  const cells = [
    ...differing.map((name) => createName(cleanName(lag[name]))),
    cleanName(lag.partition),
    formatCount(behind),
    seconds === null ? "–" : formatAge(seconds),
    now?.trend ?? "–",
  ];
  return createHtml(
    "tr",
    {},
    cells.map((cell) => createHtml("td", {}, cell)),
  );
}

/**
 * @param {LagSeries} lag
 * @param {Pick<MapModel, "lags">} map
 */
function findPartition({ group, topic, partition, cluster_id: cluster }, { lags }) {
  return lags.find(
    (each) =>
      each.group === group && each.topic === topic && each.partition === partition && each.cluster_id === cluster,
  );
}

/**
 * @param {LagSeries} lag
 * @returns {Pick<LagPoint, "behind" | "seconds">}
 */
function latestOf(lag) {
  return lag.points.at(-1) ?? { behind: 0, seconds: null };
}

/**
 * Return how many seconds may lie between two points of a line; where there are more, the line is broken.
 * @param {Pick<LagSeries, "points">[]} lags
 */
export function findStep(lags) {
  const gaps = lags.flatMap(({ points }) =>
    points.slice(1).map((point, index) => point.start - (points[index]?.start ?? 0)),
  );
  return gaps.length ? 2 * Math.min(...gaps) : DEFAULT_STEP_SECONDS;
}
