// The boxes around groups of services and queues, with a title that folds them.

import { readAddress, writeView } from "./address.js";
import { parseDisplay, toggleFold } from "./display.js";
import { createSvg, setAttribute, setText } from "./dom.js";
import { formatQuantity, joinTexts } from "./format.js";
import { nameGroup } from "./groups.js";

/** @import { MapGroup } from "./api_types.d.ts" */
/** @import { Box } from "./free_places.js" */

const [TITLE_X, TITLE_Y, TITLE_WIDTH, TITLE_HEIGHT] = [14, 22, 320, 34];

/** @param {Pick<MapGroup, "services" | "queues">} group */
export function describeGroup({ services, queues }) {
  return joinTexts(", ", [
    services > 0 && formatQuantity(services, "service"),
    queues > 0 && formatQuantity(queues, "queue"),
  ]);
}

/** @param {MapGroup} group */
export function createGroup({ key }) {
  const toggle = () => writeView(toggleFold(parseDisplay(readAddress()), key));
  const toggleByKey = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    toggle();
  };
  const title = { class: "title", role: "button", tabindex: 0, click: toggle, keydown: toggleByKey };
  return createSvg(
    "g",
    { class: "group" },
    createSvg("rect", { class: "frame", rx: 14 }),
    createSvg("g", title, createSvg("rect", { class: "hit", rx: 14 }), createSvg("text")),
  );
}

/**
 * @param {SVGElement} element
 * @param {MapGroup} group
 */
export function updateGroup(element, group) {
  const [frame, title] = element.children;
  const [hit, text] = title?.children ?? [];
  if (!frame || !title || !hit || !text) return;
  const { key, x, y, width, height, folded } = group;
  for (const [name, value] of Object.entries({ x, y, width, height })) setAttribute(frame, name, value);
  const place = { x, y, width: Math.min(width, TITLE_WIDTH), height: TITLE_HEIGHT };
  for (const [name, value] of Object.entries(place)) setAttribute(hit, name, value);
  setAttribute(title, "aria-expanded", String(!folded));
  setAttribute(title, "aria-label", `${nameGroup(key)}, ${describeGroup(group)}`);
  setAttribute(text, "x", x + TITLE_X);
  setAttribute(text, "y", y + TITLE_Y);
  setText(text, `${folded ? "▸" : "▾"} ${nameGroup(key)}${folded ? ` · ${describeGroup(group)}` : ""}`);
}

/**
 * Return the place of a group's title.
 * @param {MapGroup} group
 * @returns {Box}
 */
export function titleBox({ x, y }) {
  return { x: x + TITLE_WIDTH / 2, y: y + TITLE_HEIGHT / 2, width: TITLE_WIDTH, height: TITLE_HEIGHT };
}
