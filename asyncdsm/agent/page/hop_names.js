// How a hop is written, wherever it is named: "orders → billing", in the direction in which messages travel.

import { cleanName, createName } from "./names.js";

/** @import { Edge, Hop } from "./api_types.d.ts" */
/** @import { MapModel } from "./map_model.js" */

/**
 * Write two ends, strings or elements, in the direction in which messages travel. Returns parts, for `createHtml` or to
 * join.
 * @template End
 * @param {End} from
 * @param {End} to
 * @returns {(End | string)[]}
 */
export function joinEnds(from, to) {
  return [from, " → ", to];
}

/**
 * Write a hop as a string, as in "orders → billing".
 * @param {Edge | Hop} hop
 * @param {Pick<MapModel, "links" | "nodes">} map
 */
export function formatHop(hop, map) {
  return joinEnds(...orderEnds(hop, map)).join("");
}

/**
 * Create the name of a hop. Each of its ends is an element of its own, so that a name that is written from right to
 * left does not change their order.
 * @param {Edge | Hop} hop
 * @param {Pick<MapModel, "links" | "nodes">} map
 */
export function createHopName(hop, map) {
  const [from, to] = orderEnds(hop, map);
  return joinEnds(createName(from), createName(to));
}

/**
 * @param {Edge | Hop} hop
 * @param {Pick<MapModel, "links" | "nodes">} map
 * @returns {[from: string, to: string]}
 */
function orderEnds(hop, map) {
  const { service, queue } = nameHopEnds(hop, map);
  return hop.direction === "in" ? [queue, service] : [service, queue];
}

/**
 * Return the names of both ends of a hop. They are the labels of the map, which differ even if two nodes have one name.
 * @param {Edge | Hop} hop
 * @param {Pick<MapModel, "links" | "nodes">} map
 */
export function nameHopEnds(hop, map) {
  const link = map.links.get("edge" in hop ? hop.edge : hop.id);
  const nodes = [link?.from, link?.to].map((id) => map.nodes.get(id ?? ""));
  const labelOf = (/** @type {string} */ kind) => nodes.find((node) => node?.kind === kind)?.label;
  return {
    service: labelOf("service") ?? cleanName(hop.service),
    queue: labelOf("queue") ?? (cleanName(hop.queue || hop.type) || "?"),
  };
}
