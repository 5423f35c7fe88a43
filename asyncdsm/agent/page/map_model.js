// The map in memory: the agent's answer, with its services, queues and hops joined to each other.

import { joinAlerts } from "./alerts.js";
import { describeUnread, listDeliveries } from "./attention.js";
import { formatAge } from "./format.js";
import { nameHopEnds } from "./hop_names.js";

/** @import { MapAlerts } from "./alerts.js" */
/** @import { Alerts, DrawnMap, Edge, MapGroup, MapLabel, MapNode } from "./api_types.d.ts" */
/** @import { PartitionLag, Queue, Service } from "./api_types.d.ts" */

/**
 * @typedef {object} Link A line of the map.
 * @property {string} id
 * @property {Edge | null} edge The hop; null if the broker itself forwards the messages.
 * @property {string} from The id of a node.
 * @property {string} to The id of a node.
 * @property {[number, number][]} points None if it is not shown.
 * @property {MapLabel} label
 * @property {number} strokeWidth Pixels.
 *
 * @typedef {MapNode & { incoming: Link[], outgoing: Link[], service: Service | null, queue: Queue | null }} LinkedNode
 * A service or a queue, with what the agent says of it.
 *
 * @typedef {{ lineHeight: number, distance: number, textSize?: number }} LabelSizes
 * Pixels from one line of a label to the next, and from a link to its label; and the size of its text if it is larger
 * than usual.
 *
 * @typedef {object} MapModel
 * @property {Map<string, Edge>} edges
 * @property {Map<string, LinkedNode>} nodes
 * @property {Map<string, Link>} links
 * @property {MapAlerts} alerts
 * @property {Service[]} services
 * @property {PartitionLag[]} lags
 * @property {number} queueCount
 * @property {number} leftOut How many hops are not drawn.
 * @property {number} pathwayLimit Above this number, Datadog drops the data of a service.
 * @property {number} levelCount How many levels of slowness there are.
 * @property {LabelSizes} labelSizes
 * @property {MapGroup[]} groups None unless they are asked for.
 * @property {"down" | "right"} flow
 * @property {number} width
 * @property {number} height
 * @property {number} from Seconds since the epoch.
 * @property {number} to Seconds since the epoch.
 * @property {boolean} isPast Whether this is a range of the past, which does not move on.
 * @property {number | null} oldest When the agent's data begin, in seconds since the epoch; null if it has none.
 */

/**
 * @param {DrawnMap} answer
 * @param {Alerts} [alerts]
 * @param {{ isPast?: boolean }} [options]
 * @returns {MapModel}
 */
export function buildMapModel(answer, alerts = { evaluated: null, rules: [] }, { isPast = false } = {}) {
  const edges = new Map(answer.edges.map((edge) => [edge.id, edge]));
  const links = linkEdges(answer, edges);
  return {
    edges,
    links,
    nodes: linkNodes(answer, links),
    alerts: joinAlerts(alerts),
    isPast,
    services: answer.services,
    lags: answer.lag,
    queueCount: answer.queues.length,
    leftOut: answer.left_out,
    pathwayLimit: answer.most_pathways,
    levelCount: answer.levels.length,
    labelSizes: { lineHeight: answer.line_height, distance: answer.label_distance },
    groups: answer.groups,
    flow: answer.flow,
    width: answer.width,
    height: answer.height,
    from: answer.from,
    to: answer.to,
    oldest: answer.oldest,
  };
}

/**
 * @param {DrawnMap} answer
 * @param {Map<string, Edge>} edges
 * @returns {Map<string, Link>}
 */
function linkEdges(answer, edges) {
  const links = answer.links.map(({ edge, width, ...link }) => ({
    ...link,
    id: edge ?? `${link.from}-${link.to}`,
    edge: edges.get(edge ?? "") ?? null,
    strokeWidth: width,
  }));
  return new Map(links.map((link) => [link.id, link]));
}

/**
 * @param {DrawnMap} answer
 * @param {Map<string, Link>} links
 * @returns {Map<string, LinkedNode>}
 */
function linkNodes(answer, links) {
  const services = new Map(answer.services.map((service) => [serviceKey(service.name, service.env), service]));
  const queues = new Map(answer.queues.map((queue) => [queueKey(queue), queue]));
  /** @type {Map<string, LinkedNode>} */
  const nodes = new Map();
  for (const node of answer.nodes) {
    const service = (node.kind === "service" && services.get(serviceKey(node.name, node.where))) || null;
    const queue = (node.kind === "queue" && queues.get(queueKey({ ...node, type: node.where }))) || null;
    nodes.set(node.id, { ...node, incoming: [], outgoing: [], service, queue });
  }
  for (const link of links.values()) {
    nodes.get(link.from)?.outgoing.push(link);
    nodes.get(link.to)?.incoming.push(link);
  }
  return nodes;
}

/**
 * @param {string} name
 * @param {string} env
 */
const serviceKey = (name, env) => JSON.stringify([name, env]);

/** @param {Pick<Queue, "type" | "name" | "cluster">} queue */
const queueKey = ({ type, name, cluster }) => JSON.stringify([type, name, cluster]);

/**
 * Return the hops that lead into a node or out of it.
 * @param {Link[]} links
 * @returns {Edge[]}
 */
export function listEdges(links) {
  return links.flatMap((link) => link.edge ?? []);
}

/**
 * Return what is wrong at a service or a queue, in sentences.
 * @param {LinkedNode} node
 * @param {MapModel} map
 */
export function listWarnings({ service, queue, outgoing }, map) {
  const warnings = queue?.unread ? [describeUnread(queue, map)] : [];
  const reads = queue ? listEdges(outgoing) : [];
  warnings.push(...reads.flatMap((edge) => listDeliveries(edge, map, nameHopEnds(edge, map).service)));
  if (service?.many_pathways) {
    warnings.push(
      `This service reports ${service.pathways} distinct pathways. ` +
        `If it reports more than about ${map.pathwayLimit}, Datadog drops its data.`,
    );
  }
  if (service?.clocks_disagree) {
    warnings.push(
      "Clocks disagree: many messages seem to arrive before they were sent, so their latency is counted as 0. " +
        "Check the clock of this host and of the hosts that send to it.",
    );
  }
  if (service && typeof service.reports_age === "number") {
    warnings.push(
      `The clock of this service seems to be behind: its reports are ${formatAge(service.reports_age)} old when they ` +
        "come. Check the clock of its host. What it does now is shown as of then.",
    );
  }
  return warnings;
}
