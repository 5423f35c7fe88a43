// The boxes of the map: services and queues, each with its name and one line about it.

import { describeAlerts, findSeverity } from "./alerts.js";
import { createSvg, setAttribute, setText } from "./dom.js";
import { formatCount, formatRate, joinTexts } from "./format.js";
import { listEdges, listWarnings } from "./map_model.js";
import { cleanName, cutName, measureText } from "./names.js";

/** @import { Link, LinkedNode, MapModel } from "./map_model.js" */

/** @param {LinkedNode} node */
const isQueue = (node) => node.kind === "queue";

/**
 * Create the element of a node; `updateNode` fills it.
 * @param {LinkedNode} node
 * @param {import("./dom.js").Attributes} buttonAttributes
 */
export function createNode(node, buttonAttributes) {
  const text = { "text-anchor": "middle" };
  return createSvg(
    "g",
    { ...buttonAttributes, class: `node ${node.kind}` },
    createSvg("title"),
    createSvg("rect", { rx: isQueue(node) ? node.height / 2 : 10 }),
    createSvg("text", { class: "name", ...text, y: isQueue(node) ? 0 : -3 }),
    createSvg("text", { class: "about", ...text, y: isQueue(node) ? 12 : 14 }),
  );
}

/**
 * @param {SVGElement} element
 * @param {LinkedNode} node
 * @param {MapModel} map
 */
export function updateNode(element, node, map) {
  const [title, box, name, about] = element.children;
  if (!title || !box || !name || !about) return;
  const hasWarnings = listWarnings(node, map).length > 0;
  const description = describeNode(node, hasWarnings);
  setAttribute(element, "transform", `translate(${node.x} ${node.y})`);
  const alerts = describeAlerts(node.id, map);
  setAttribute(element, "aria-label", joinTexts(", ", [`${node.kind} ${node.label}`, description, alerts]));
  setAttribute(element, "data-alert", findSeverity(node.id, map));
  element.classList.toggle("warned", hasWarnings);
  element.classList.toggle("quiet", node.incoming.length + node.outgoing.length === 0);
  updateBox(box, node);
  setText(title, joinTexts(" · ", [node.label, unnamedEnv(node), description]));
  const room = node.width - (isQueue(node) ? 22 : 14);
  setFittedText(name, node.name || node.where || "?", room);
  setFittedText(about, description, room);
}

/**
 * @param {Element} box
 * @param {LinkedNode} node
 */
function updateBox(box, { width, height }) {
  const attributes = { x: -width / 2, y: -height / 2, width, height };
  for (const [name, value] of Object.entries(attributes)) setAttribute(box, name, value);
}

/**
 * Return the environment of a service, if its label does not name it.
 * @param {LinkedNode} node
 */
function unnamedEnv(node) {
  return isQueue(node) || node.qualifier ? "" : cleanName(node.where);
}

/**
 * @param {LinkedNode} node
 * @param {boolean} hasWarnings
 */
export function describeNode(node, hasWarnings) {
  if (isQueue(node)) return describeQueue(node);
  return `${hasWarnings ? "⚠ " : ""}${describeService(node)}`;
}

/** @param {LinkedNode} node */
function describeService(node) {
  const [read, written] = [sumRates(node.incoming), sumRates(node.outgoing)];
  const rates = joinTexts(", ", [read > 0 && `${formatRate(read)} in`, written > 0 && `${formatRate(written)} out`]);
  return joinTexts(" · ", [node.qualifier, rates || "idle"]);
}

/** @param {LinkedNode} node */
function describeQueue(node) {
  // A group has one lag, even if several services read in it, or its first hops did not know the cluster yet.
  /** @type {Map<string | null | undefined, number>} */
  const lags = new Map();
  for (const { group, lag } of listEdges(node.outgoing)) lags.set(group, Math.max(lags.get(group) ?? 0, lag ?? 0));
  const lag = [...lags.values()].reduce((sum, behind) => sum + behind, 0);
  const where = node.qualifier || cleanName(node.where);
  if (!lag) return where;
  // There is no room for the kind of broker beside its cluster. Only Kafka's queues have a lag anyway.
  return `${where.split(", ").at(-1)}, lag ${formatCount(lag)}`;
}

/** @param {Link[]} links */
function sumRates(links) {
  return listEdges(links).reduce((sum, edge) => sum + edge.present.rate, 0);
}

/**
 * What was written into an element before it was cut.
 * @type {WeakMap<Element, string>}
 */
const wholeTexts = new WeakMap();

/**
 * @param {Element} element
 * @param {string} text
 * @param {number} room Pixels.
 */
function setFittedText(element, text, room) {
  if (wholeTexts.get(element) === text) return;
  wholeTexts.set(element, text);
  const { fontWeight, fontSize, fontFamily } = getComputedStyle(element);
  const font = `${fontWeight} ${fontSize} ${fontFamily}`;
  setText(
    element,
    cutName(text, (shown) => measureText(shown, font) <= room),
  );
}
