// The lines of the map: one for each hop, with its arrow and its label.

import { describeAlerts, findSeverity } from "./alerts.js";
import { createSvg, setAttribute, setText } from "./dom.js";
import { describePresent, formatBriefly, joinTexts } from "./format.js";
import { formatHop } from "./hop_names.js";

/** @import { Edge, MapLabel, Present } from "./api_types.d.ts" */
/** @import { Box } from "./free_places.js" */
/** @import { LabelSizes, Link, MapModel } from "./map_model.js" */
/** @typedef {{ edge: Edge } & Omit<Link, "edge">} HopLink */

const USUAL_SIZE = 12.5;

/** @type {Record<string, string>} */
const STATE_MARKS = { slower: "▲", faster: "▼", idle: "since", steady: "" };

/**
 * Create the element of a link; `updateLink` fills it.
 * @param {Link} link
 * @param {import("./dom.js").Attributes} buttonAttributes
 */
export function createLink(link, buttonAttributes) {
  if (!link.edge) {
    const line = createSvg("path", { class: "line", "marker-end": "url(#arrow-carried)" });
    return createSvg("g", { class: "link carried" }, createSvg("title"), line);
  }
  return createSvg(
    "g",
    { ...buttonAttributes, class: "link" },
    createSvg("title"),
    createSvg("path", { class: "hit" }),
    createSvg("path", { class: "line" }),
  );
}

/** Create the element of a link's label, which is above all lines; `updateLabel` fills it. */
export function createLabel() {
  return createSvg(
    "g",
    { class: "texts" },
    createSvg("rect", { class: "ground", rx: 3 }),
    createSvg("text", { class: "label" }),
    createSvg("text", { class: "label tail" }),
    createSvg("text", { class: "label since" }),
  );
}

/**
 * @param {SVGElement} element
 * @param {Link} link
 * @param {MapModel} map
 */
export function updateLink(element, link, map) {
  const path = formatCurve(link.points, map.flow);
  for (const drawn of element.children) {
    // A straight line has a box without any height or width, and counts as hidden: the end makes it one pixel.
    if (drawn.tagName === "path") setAttribute(drawn, "d", drawn.classList.contains("hit") ? `${path}l1 1` : path);
  }
  const title = element.firstElementChild;
  if (!link.edge && title) setText(title, "Forwarded by the broker");
  if (link.edge) updateHop(element, { ...link, edge: link.edge }, map);
}

/**
 * @param {SVGElement} element
 * @param {HopLink} hop
 * @param {MapModel} map
 */
function updateHop(element, { edge, strokeWidth }, map) {
  const [title, , line] = element.children;
  const { present } = edge;
  const state = joinTexts(", ", [describePresent(present), describeAlerts(edge.id, map)]);
  const text = `${formatHop(edge, map)}: ${state}`;
  const lit = element.classList.contains("lit") ? " lit" : "";
  setAttribute(element, "class", `link ${describeLook(present)}${lit}`);
  setAttribute(element, "data-alert", findSeverity(edge.id, map));
  setAttribute(element, "aria-label", text);
  if (title) setText(title, text);
  if (line) setAttribute(line, "stroke-width", strokeWidth);
  if (line) setAttribute(line, "marker-end", `url(#arrow-${present.level})`);
}

/** @param {Present} present */
function describeLook({ level, state }) {
  return `warm-${level} ${state}`;
}

/**
 * Return the lines of a label: the median, the 99th percentile, and since when the hop is as it is now. A line that has
 * nothing to say is empty.
 * @param {Present} present
 */
export function labelTexts(present) {
  const since = present.since === null ? "" : formatBriefly(present.since);
  const mark = STATE_MARKS[present.state];
  return [present.label, present.tail ? `p99 ${present.tail}` : "", since && joinTexts(" ", [mark, since])];
}

/**
 * Return the lines of a hop's label that there may be room for, the first ones first; the link's title has them all.
 * @param {Link} link
 * @param {number} atLeast How many lines to return even if the layout has found no room.
 */
export function listLabelLines({ edge, label }, atLeast) {
  if (!edge) return [];
  return labelTexts(edge.present)
    .flatMap((text, index) => (text ? [{ text, index }] : []))
    .slice(0, Math.max(atLeast, label.lines));
}

/**
 * Write the lines of a label, and cover what is below them.
 * @param {SVGElement} element
 * @param {{ text: string, index: number }[]} shown
 * @param {Box} box Where they are.
 * @param {HopLink} link
 * @param {LabelSizes} sizes
 */
export function updateLabel(element, shown, box, { edge, label }, sizes) {
  setAttribute(element, "class", `texts ${describeLook(edge.present)}`);
  const [ground, ...elements] = element.children;
  if (ground) updateGround(ground, shown.length ? box : { x: 0, y: 0, width: 0, height: 0 });
  const origin = labelOrigin(label, shown.length, sizes);
  elements.forEach((line, index) => {
    const place = shown.findIndex((each) => each.index === index);
    setText(line, shown[place]?.text ?? "");
    if (place < 0) return;
    setAttribute(line, "x", origin.x);
    setAttribute(line, "y", origin.y + sizes.lineHeight * place);
    setAttribute(line, "text-anchor", origin.anchor);
  });
}

/**
 * @param {Element} ground
 * @param {Box} box
 */
function updateGround(ground, { x, y, width, height }) {
  const attributes = { x: x - width / 2, y: y - height / 2, width, height };
  for (const [name, value] of Object.entries(attributes)) setAttribute(ground, name, value.toFixed(1));
}

/**
 * Return where the first line of a label is: x, the baseline y, and the text anchor. Like `label_origin` in Python.
 * @param {MapLabel} label
 * @param {number} lines How many lines are shown.
 * @param {LabelSizes} sizes
 */
export function labelOrigin({ x, y, side }, lines, { lineHeight, distance, textSize = USUAL_SIZE }) {
  const others = lineHeight * (lines - 1);
  const growth = textSize / USUAL_SIZE;
  if (side === "above") return { x, y: y - distance - 3 - others, anchor: "middle" };
  if (side === "below") return { x, y: y + distance + 11 * growth, anchor: "middle" };
  const middle = y + 4 * growth - others / 2;
  return side === "right"
    ? { x: x + distance, y: middle, anchor: "start" }
    : { x: x - distance, y: middle, anchor: "end" };
}

/**
 * Return the box that a label needs.
 * @param {MapLabel} label
 * @param {number[]} widths The widths of its lines.
 * @param {LabelSizes} sizes
 * @returns {Box}
 */
export function labelBox(label, widths, sizes) {
  const { x, y, anchor } = labelOrigin(label, widths.length, sizes);
  const { lineHeight, textSize = USUAL_SIZE } = sizes;
  const width = Math.max(...widths);
  const shift = { start: width / 2, middle: 0, end: -width / 2 }[anchor] ?? 0;
  // As high as the boxes that a browser gives to letters: from 0.95 above the baseline to 0.25 below it.
  const height = lineHeight * (widths.length - 1) + 1.2 * textSize;
  return { x: x + shift, y: y - 0.95 * textSize + height / 2, width, height };
}

/**
 * Return the SVG path of a curve that is parallel to the flow at each of its points. Like `curve_path` in Python.
 * @param {[number, number][]} points
 * @param {"down" | "right"} flow
 */
export function formatCurve(points, flow) {
  const parts = points.map(([x, y], index) => {
    const before = points[index - 1];
    if (!before) return `M${x} ${y}`;
    const [middleX, middleY] = [(before[0] + x) / 2, (before[1] + y) / 2];
    if (flow === "down") return `C${before[0]} ${middleY} ${x} ${middleY} ${x} ${y}`;
    return `C${middleX} ${before[1]} ${middleX} ${y} ${x} ${y}`;
  });
  return parts.join("");
}

/** @param {number | "carried"} level */
export function createArrowhead(level) {
  const size = { markerWidth: 9, markerHeight: 9, refX: 8, refY: 5, viewBox: "0 0 10 10" };
  const head = createSvg("path", { d: "M0 0.5L9 5L0 9.5Z", class: `arrow warm-${level}` });
  return createSvg("marker", { id: `arrow-${level}`, orient: "auto", markerUnits: "userSpaceOnUse", ...size }, head);
}
