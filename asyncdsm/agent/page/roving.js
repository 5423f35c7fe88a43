// The keys of the map: it is one tab stop, and the arrow keys follow the messages from node to link to node.

/** @import { Link, LinkedNode, MapModel } from "./map_model.js" */

/**
 * @typedef {"forward" | "back" | "previous" | "next" | "first" | "last"} Step
 * Along the flow or against it; to what is beside it; to the first or the last node of the map.
 * @typedef {Pick<MapModel, "nodes" | "links" | "flow">} Drawn
 */

/** @type {Record<string, Record<string, Step>>} */
const STEPS = {
  right: { ArrowRight: "forward", ArrowLeft: "back", ArrowUp: "previous", ArrowDown: "next" },
  down: { ArrowDown: "forward", ArrowUp: "back", ArrowLeft: "previous", ArrowRight: "next" },
};

/**
 * @param {string} key The key of a keyboard event.
 * @param {"down" | "right"} flow
 * @returns {Step | undefined} Undefined if the key leads nowhere.
 */
export function readStep(key, flow) {
  if (key === "Home") return "first";
  return key === "End" ? "last" : STEPS[flow]?.[key];
}

/**
 * Return the id of the node or the link to which a step leads; undefined if there is none.
 * @param {string} id
 * @param {Step} step
 * @param {Drawn} map
 * @param {string} [before] The id of what had the focus before: from a link, one goes on to the others of that node.
 */
export function findStep(id, step, map, before) {
  if (step === "first" || step === "last") return sortNodes(map).at(step === "first" ? 0 : -1)?.id;
  const node = map.nodes.get(id);
  if (node) return stepFromNode(node, step, map);
  const link = map.links.get(id);
  return link && stepFromLink(link, step, map, before);
}

/**
 * Return the nodes that are drawn, from where messages begin.
 * @param {Drawn} map
 */
export function sortNodes(map) {
  const shown = [...map.nodes.values()].filter((node) => node.shown);
  return shown.sort((one, other) => along(one, map) - along(other, map) || across(one, map) - across(other, map));
}

/**
 * Return the middle of the nodes where messages begin, which are in the first layer.
 * @param {Drawn} map
 * @returns {{ x: number, y: number } | undefined}
 */
export function findStart(map) {
  const [first] = sortNodes(map);
  if (!first) return undefined;
  const layer = listLayer(first, map);
  return layer[Math.floor(layer.length / 2)];
}

/**
 * Return the nodes of a node's layer, in order.
 * @param {LinkedNode} node
 * @param {Drawn} map
 */
function listLayer(node, map) {
  return sortNodes(map).filter((other) => Math.abs(along(other, map) - along(node, map)) < 1);
}

/**
 * @param {LinkedNode} node
 * @param {Step} step
 * @param {Drawn} map
 */
function stepFromNode(node, step, map) {
  if (step === "forward" || step === "back") {
    const distance = (/** @type {Link} */ link) =>
      Math.abs(across(farEnd(link, node.id, map), map) - across(node, map));
    const links = drawnLinks(step === "forward" ? node.outgoing : node.incoming);
    const nearest = links.sort((one, other) => distance(one) - distance(other))[0];
    // What the broker forwards by itself cannot be selected.
    return nearest?.edge ? nearest.id : nearest && farEnd(nearest, node.id, map)?.id;
  }
  const layer = listLayer(node, map);
  return layer[layer.findIndex((other) => other.id === node.id) + (step === "next" ? 1 : -1)]?.id;
}

/**
 * @param {Link} link
 * @param {Step} step
 * @param {Drawn} map
 * @param {string | undefined} before
 */
function stepFromLink(link, step, map, before) {
  if (step === "forward") return link.to;
  if (step === "back") return link.from;
  const isOfTarget = before === link.to;
  const near = map.nodes.get(isOfTarget ? link.to : link.from);
  if (!near) return undefined;
  const far = (/** @type {Link} */ each) => across(farEnd(each, near.id, map), map);
  const siblings = drawnLinks(isOfTarget ? near.incoming : near.outgoing).filter((each) => each.edge);
  siblings.sort((one, other) => far(one) - far(other));
  return siblings[siblings.findIndex((each) => each.id === link.id) + (step === "next" ? 1 : -1)]?.id;
}

/** @param {Link[]} links */
const drawnLinks = (links) => links.filter((link) => link.points.length > 0);

/**
 * @param {Link} link
 * @param {string} id The id of the node at one end.
 * @param {Drawn} map
 */
const farEnd = (link, id, map) => map.nodes.get(link.from === id ? link.to : link.from);

/**
 * @param {LinkedNode | undefined} node
 * @param {Drawn} map
 */
const along = (node, map) => (map.flow === "right" ? node?.x : node?.y) ?? 0;

/**
 * @param {LinkedNode | undefined} node
 * @param {Drawn} map
 */
const across = (node, map) => (map.flow === "right" ? node?.y : node?.x) ?? 0;
