// The details of a service or a queue: the pathways through it, its hops, and how far its readers lag behind.

import { fetchLag, fetchPathways } from "./api.js";
import { createSection, createWarning } from "./dom.js";
import { describeSilence, formatSince } from "./format.js";
import { createHopButton, createPathwayList } from "./hops.js";
import { createLagCharts, createLagSummary, createLagTable } from "./lag.js";
import { listEdges, listWarnings } from "./map_model.js";
import { createRelations } from "./relations.js";
import { createVersionSection } from "./version_table.js";
import { findServicesAt, listVersionMarkers } from "./versions.js";

/** @import { Parameters, RangeQuery } from "./api.js" */
/** @import { LagSeries, WholePathway } from "./api_types.d.ts" */
/** @import { LinkedNode, MapModel } from "./map_model.js" */
/** @import { PanelActions } from "./panel.js" */

const MAX_TOPICS = 6;

/**
 * @param {LinkedNode} node
 * @param {MapModel} map
 * @param {RangeQuery} range
 * @param {PanelActions} actions
 */
export async function createNodeDetails(node, map, range, actions) {
  const [lags, pathways, versions, relations] = await Promise.all([
    fetchLagsOf(node, map, range),
    fetchPathwaysThrough(node, range),
    createVersionSection(node.service, map, range),
    createRelations(node, map, range, actions),
  ]);
  actions.highlightPathwaysThrough(node.id, new Set(pathways.flatMap(({ hops }) => hops.map((hop) => hop.edge))));
  const isService = node.kind === "service";
  const [incoming, outgoing] = createHopLists(node, map, actions);
  return [
    node.quiet_since !== null &&
      createWarning(`${describeSilence(map.to - node.quiet_since)}, since ${formatSince(node.quiet_since)}.`),
    ...listWarnings(node, map).map(createWarning),
    versions,
    createSection("Pathways, slowest first", createPathwayList(pathways, map, actions)),
    incoming.length > 0 && createSection(isService ? "Reads" : "Written by", incoming),
    outgoing.length > 0 && createSection(isService ? "Writes" : "Read by", outgoing),
    ...relations,
    lags.length > 0 &&
      createSection(
        "Lag",
        createLagSummary(node),
        createLagCharts(lags, map, listVersionMarkers(findServicesAt(node, map))),
        createLagTable(lags, map),
      ),
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
