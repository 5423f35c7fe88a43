// The details of a service or a queue: the pathways through it, its hops, and how far its readers lag behind.

import { fetchLag, fetchPathways } from "./api.js";
import { createChart } from "./chart.js";
import { createHtml, createSection, createWarning } from "./dom.js";
import { formatCount } from "./format.js";
import { createHopButton, createPathwayList } from "./hops.js";
import { listEdges, listWarnings } from "./map_model.js";
import { cleanName, createName } from "./names.js";
import { createRelations } from "./relations.js";
import { findServicesAt, listVersionMarkers } from "./versions.js";

/** @import { Parameters, RangeQuery } from "./api.js" */
/** @import { LagSeries, WholePathway } from "./api_types.d.ts" */
/** @import { LinkedNode, MapModel } from "./map_model.js" */
/** @import { PanelActions } from "./panel.js" */

const MAX_TOPICS = 6;
const MAX_LINES = 8;
const SHADES = 3;
const DEFAULT_STEP_SECONDS = 60;

/**
 * @param {LinkedNode} node
 * @param {MapModel} map
 * @param {RangeQuery} range
 * @param {PanelActions} actions
 */
export async function createNodeDetails(node, map, range, actions) {
  const [lags, pathways, relations] = await Promise.all([
    fetchLagsOf(node, map, range),
    fetchPathwaysThrough(node, range),
    createRelations(node, map, range, actions),
  ]);
  actions.highlightPathwaysThrough(node.id, new Set(pathways.flatMap(({ hops }) => hops.map((hop) => hop.edge))));
  const isService = node.kind === "service";
  const [incoming, outgoing] = createHopLists(node, map, actions);
  return [
    ...listWarnings(node, map).map(createWarning),
    createSection("Pathways, slowest first", createPathwayList(pathways, map, actions)),
    incoming.length > 0 && createSection(isService ? "Reads" : "Written by", incoming),
    outgoing.length > 0 && createSection(isService ? "Writes" : "Read by", outgoing),
    ...relations,
    lags.length > 0 && createSection("Lag", createLagChart(lags, node, map), createLagTable(lags)),
  ];
}

/**
 * @param {LinkedNode} node
 * @param {MapModel} map
 * @param {PanelActions} actions
 * @returns {[incoming: HTMLElement[], outgoing: HTMLElement[]]}
 */
function createHopLists(node, map, actions) {
  const [incoming, outgoing] = [listEdges(node.incoming), listEdges(node.outgoing)];
  const slowest = Math.max(0, ...[...incoming, ...outgoing].map((edge) => edge.present.slowness));
  const create = (/** @type {typeof incoming} */ edges) =>
    edges.map((edge) => createHopButton(edge, slowest, map, actions));
  return [create(incoming), create(outgoing)];
}

/**
 * @param {LinkedNode} node
 * @param {RangeQuery} range
 * @returns {Promise<WholePathway[]>}
 */
async function fetchPathwaysThrough(node, range) {
  const { kind, name, where } = node;
  if (kind === "queue" && !name) return [];
  const parameters = kind === "service" ? { service: name, env: where } : { type: where, queue: name };
  const { pathways } = await fetchPathways({ ...parameters, ...clusterParameters(node), ...range });
  return pathways;
}

/**
 * Say which queue is meant if several clusters have a queue of this name. Otherwise, all queues of the name are meant.
 * @param {LinkedNode} node
 * @returns {{ cluster?: string }}
 */
function clusterParameters({ kind, qualifier, cluster }) {
  return kind === "queue" && qualifier ? { cluster: cluster ?? "" } : {};
}

/**
 * @param {LinkedNode} node
 * @param {MapModel} map
 * @param {RangeQuery} range
 * @returns {Promise<LagSeries[]>}
 */
async function fetchLagsOf(node, map, range) {
  const reads = listReads(node, map).slice(0, MAX_TOPICS);
  const answers = await Promise.all(reads.map((read) => fetchLag({ ...read, ...range })));
  return answers.flatMap((answer) => answer.series);
}

/**
 * Return the parameters of requests for a node's lag: a Kafka topic has that of all groups that read it; a service has
 * that of the topics that it reads, for its own groups.
 * @param {LinkedNode} node
 * @param {Pick<MapModel, "nodes">} map
 * @returns {Parameters[]}
 */
export function listReads(node, map) {
  if (node.kind === "queue") return readParameters(node);
  const reads = node.incoming.flatMap(({ edge, from }) => {
    const queue = map.nodes.get(from);
    return queue && edge?.group ? readParameters(queue, edge.group) : [];
  });
  return [...new Map(reads.map((read) => [JSON.stringify(read), read])).values()];
}

/**
 * @param {LinkedNode} queue
 * @param {string} [group]
 * @returns {Parameters[]}
 */
function readParameters(queue, group) {
  if (queue.where !== "kafka" || !queue.name) return [];
  return [{ topic: queue.name, group, ...clusterParameters(queue) }];
}

/**
 * @param {LagSeries[]} lags
 * @param {LinkedNode} node
 * @param {MapModel} map
 */
function createLagChart(lags, node, map) {
  const worst = lags.toSorted((one, other) => latestLag(other) - latestLag(one)).slice(0, MAX_LINES);
  const lines = worst.map((lag, index) => ({
    name: `${cleanName(lag.group)} ${cleanName(lag.partition)}`,
    shade: index % SHADES,
    points: lag.points.map(({ start, behind }) => /** @type {[number, number]} */ ([start, behind])),
  }));
  const markers = listVersionMarkers(findServicesAt(node, map));
  const time = { from: map.from, to: map.to, step: findStep(lags), markers };
  return createChart({ title: "Messages behind", lines, format: formatCount, ...time });
}

/** @param {LagSeries[]} lags */
function createLagTable(lags) {
  const names = ["group", "topic", "partition", "messages"];
  const head = names.map((name) => createHtml("th", { scope: "col" }, name));
  return createHtml(
    "table",
    {},
    createHtml("thead", {}, createHtml("tr", {}, head)),
    createHtml("tbody", {}, lags.map(createLagRow)),
  );
}

/** @param {LagSeries} lag */
function createLagRow(lag) {
  const cells = [createName(cleanName(lag.group)), createName(cleanName(lag.topic)), cleanName(lag.partition)];
  return createHtml(
    "tr",
    {},
    [...cells, formatCount(latestLag(lag))].map((cell) => createHtml("td", {}, cell)),
  );
}

/** @param {LagSeries} lag */
function latestLag(lag) {
  return lag.points.at(-1)?.behind ?? 0;
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
