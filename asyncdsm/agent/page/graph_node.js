// The boxes of the map: services and queues, each with its name and one line about it.

import { describeAlerts, findSeverity } from "./alerts.js";
import { createSvg, setAttribute, setText } from "./dom.js";
import { formatCount, formatRate, formatSince, joinTexts } from "./format.js";
import { findColor } from "./groups.js";
import { formatLag } from "./lag.js";
import { listEdges, listWarnings } from "./map_model.js";
import { cleanName, cutName, measureText } from "./names.js";

/** @import { Groups } from "./groups.js" */
/** @import { Link, LinkedNode, MapModel } from "./map_model.js" */
/** @import { TextSizes } from "./text_sizes.js" */

const [STRIPE_WIDTH, STRIPE_INSET] = [4, 6];
// How much narrower a centered text must be where a stripe is: its width, at both ends.
const STRIPE_ROOM = 8;
// About twelve characters.
const MIN_EMS = 7;

// A group that keeps up has messages that are some seconds old.
const SHORTEST_AGE_SHOWN = 20;

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
    createSvg("rect", { class: "box", rx: isQueue(node) ? node.height / 2 : 10 }),
    createSvg("rect", { class: "stripe", rx: STRIPE_WIDTH / 2, width: STRIPE_WIDTH }),
    createSvg("text", { class: "name", ...text }),
    createSvg("text", { class: "about", ...text }),
  );
}

/**
 * Update everything except the texts: `fitNodeTexts` writes them.
 * @param {SVGElement} element
 * @param {LinkedNode} node
 * @param {MapModel} map
 * @param {Groups} groups
 */
export function updateNode(element, node, map, groups) {
  const [title, box, stripe] = element.children;
  if (!title || !box || !stripe) return;
  const description = describeNode(node, listWarnings(node, map).length > 0);
  setAttribute(element, "transform", `translate(${node.x} ${node.y})`);
  const alerts = describeAlerts(node.id, map);
  const label = joinTexts(", ", [`${node.kind} ${node.label}`, unnamedEnv(node), description, alerts]);
  setAttribute(element, "aria-label", label);
  setAttribute(element, "data-alert", findSeverity(node.id, map));
  element.classList.toggle("warned", listWarnings(node, map).length > 0);
  element.classList.toggle("quiet", node.quiet_since !== null || node.incoming.length + node.outgoing.length === 0);
  updateBox(box, node);
  updateStripe(stripe, node, findColor(node, groups));
  setText(title, joinTexts(" · ", [node.label, unnamedEnv(node), description]));
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
 * Show the color of the node's environment or cluster at the beginning of its box.
 * @param {Element} stripe
 * @param {LinkedNode} node
 * @param {number | undefined} color
 */
function updateStripe(stripe, { width, height }, color) {
  setAttribute(stripe, "class", color === undefined ? "stripe" : `stripe group-${color}`);
  setAttribute(stripe, "x", STRIPE_INSET - width / 2);
  setAttribute(stripe, "y", height / 4 - height / 2);
  setAttribute(stripe, "height", height / 2);
}

/**
 * Write the name and the line about a node, cut to the room that there is for texts of this size.
 * @param {SVGElement} element
 * @param {LinkedNode} node
 * @param {MapModel} map
 * @param {TextSizes} sizes
 * @param {string} fontFamily
 */
export function fitNodeTexts(element, node, map, sizes, fontFamily) {
  const [name, about] = [element.querySelector(".name"), element.querySelector(".about")];
  if (!name || !about) return;
  const withDetails = sizes.withDetails[node.kind];
  const [nameSize, aboutSize] = [sizes.name[node.kind], sizes.about[node.kind]];
  // One line or both have their middle in that of the box: letters are 0.72 high, and reach 0.2 below their baseline.
  const distance = Math.max(isQueue(node) ? 12 : 16, 1.05 * aboutSize);
  const baseline = withDetails ? (0.72 * nameSize - 0.2 * aboutSize - distance) / 2 : 0.35 * nameSize;
  setAttribute(name, "y", baseline.toFixed(1));
  setAttribute(about, "y", (baseline + distance).toFixed(1));
  const isStriped = Boolean(element.querySelector('.stripe[class*="group-"]'));
  const room = roomForName(node, sizes) - (isStriped ? STRIPE_ROOM : 0);
  setFittedText(name, node.name || node.where || "?", room, nameFont(node, sizes, fontFamily));
  const font = `400 ${aboutSize}px ${fontFamily}`;
  const description = withDetails ? describeNode(node, listWarnings(node, map).length > 0) : "";
  setFittedText(
    about,
    dropParts(description, (text) => measureText(text, font) <= room, findLargerRate(node)),
    room,
    font,
  );
}

/**
 * Leave out the first parts of a description until it fits: its last one is the most interesting, unless another one is
 * given for it. Of a date, which has a comma of its own, the time of day is left out, and then all but "quiet".
 * @param {string} description
 * @param {(text: string) => boolean} fits
 * @param {string} [most] What is shown if there is room for one part only.
 */
export function dropParts(description, fits, most = "") {
  const isDated = description.includes("since ");
  const parts = description.split(isDated ? " · " : / · |, /);
  const shorter = parts.map((_, first) => (first ? parts.slice(first).join(", ") : description));
  if (most && shorter.length > 1) shorter.splice(-1, 1, most);
  const last = shorter.at(-1) ?? "";
  if (!isDated) return shorter.find(fits) ?? last;
  const undated = last.replace(/, [^,]*$/, "");
  return [...shorter, undated, undated.replace("since ", "")].find(fits) ?? undated.replace(/ since .*/, "");
}

/**
 * @param {Pick<LinkedNode, "kind">} node
 * @param {TextSizes} sizes
 * @param {string} fontFamily
 */
export function nameFont({ kind }, { name }, fontFamily) {
  return `${kind === "queue" ? 500 : 600} ${name[kind]}px ${fontFamily}`;
}

/**
 * Return how wide a name may be. On a map that is so small that a box has no room for a name, it may be wider: then not
 * all names are shown.
 * @param {Pick<LinkedNode, "kind" | "width" | "height">} node
 * @param {TextSizes} sizes
 */
export function roomForName({ kind, width, height }, { least }) {
  return least > height ? MIN_EMS * least : width - (kind === "queue" ? 24 : 20);
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
  return `${hasWarnings ? "⚠ " : ""}${isQueue(node) ? describeQueue(node) : describeService(node)}`;
}

/** @param {LinkedNode} node */
function describeService(node) {
  if (node.quiet_since !== null)
    return joinTexts(" · ", [node.qualifier, `quiet since ${formatSince(node.quiet_since)}`]);
  const [read, written] = [sumRates(node.incoming), sumRates(node.outgoing)];
  const rates = joinTexts(", ", [read > 0 && `${formatRate(read)} in`, written > 0 && `${formatRate(written)} out`]);
  return joinTexts(" · ", [node.qualifier, rates || "idle"]);
}

/**
 * Return the larger one of the two rates of a service; empty if it has not both.
 * @param {LinkedNode} node
 */
function findLargerRate(node) {
  const [read, written] = [sumRates(node.incoming), sumRates(node.outgoing)];
  if (isQueue(node) || node.quiet_since !== null || !(read > 0 && written > 0)) return "";
  return read > written ? `${formatRate(read)} in` : `${formatRate(written)} out`;
}

/** @param {LinkedNode} node */
function describeQueue(node) {
  // A group has one lag, even if several services read in it, or its first hops did not know the cluster yet.
  /** @type {Map<string | null | undefined, number>} */
  const lags = new Map();
  const edges = listEdges(node.outgoing);
  for (const { group, lag } of edges) lags.set(group, Math.max(lags.get(group) ?? 0, lag ?? 0));
  const lag = [...lags.values()].reduce((sum, behind) => sum + behind, 0);
  const where = node.qualifier || cleanName(node.where);
  if (!lag) return node.queue?.unread ? `${where}, not read` : where;
  const seconds = Math.max(0, ...edges.map((edge) => edge.lag_seconds ?? 0));
  // There is no room for all: an age that matters takes the place of the cluster, and that of the kind of broker. Only
  // Kafka's queues have a lag anyway.
  if (seconds >= SHORTEST_AGE_SHOWN) return `lag ${formatLag({ lag, lag_seconds: seconds })}`;
  return `${where.split(", ").at(-1)}, lag ${formatCount(lag)}`;
}

/** @param {Link[]} links */
function sumRates(links) {
  return listEdges(links).reduce((sum, edge) => sum + edge.present.rate, 0);
}

/**
 * What was written into an element before it was cut, the font, and the room.
 * @type {WeakMap<Element, string>}
 */
const wholeTexts = new WeakMap();

/**
 * @param {Element} element
 * @param {string} text
 * @param {number} room Pixels.
 * @param {string} font
 */
function setFittedText(element, text, room, font) {
  const whole = `${font} ${room} ${text}`;
  if (wholeTexts.get(element) === whole) return;
  wholeTexts.set(element, whole);
  setText(
    element,
    cutName(text, (shown) => measureText(shown, font) <= room),
  );
}
