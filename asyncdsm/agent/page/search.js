// The search field and its list of results, a combobox as ARIA describes it.

import { createHtml, replaceContent, setAttribute } from "./dom.js";
import { joinTexts } from "./format.js";
import { cleanName, createName } from "./names.js";

/** @import { Selection } from "./address.js" */
/** @import { MapNode } from "./api_types.d.ts" */
/** @import { MapModel } from "./map_model.js" */

const MAX_RESULTS = 12;
const EXACT_MATCH = -1;
const LABEL_MATCH = 10_000;

/**
 * Return the nodes that a search text finds, the best first.
 * @template {Pick<MapNode, "name" | "label">} Found
 * @param {Iterable<Found>} nodes
 * @param {string} text
 * @returns {Found[]}
 */
export function findNodes(nodes, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return [];
  const ranked = [...nodes].flatMap((node) => {
    const rank = rankNode(node, wanted);
    return rank === null ? [] : [{ node, rank }];
  });
  ranked.sort((one, other) => one.rank - other.rank || one.node.name.length - other.node.name.length);
  return ranked.slice(0, MAX_RESULTS).map(({ node }) => node);
}

/**
 * Rank a node: the exact name comes first, then names in which the text is further to the front, then labels, which
 * also have the environment or the cluster.
 * @param {Pick<MapNode, "name" | "label">} node
 * @param {string} text In lower case.
 * @returns {number | null} The lowest is the best; null if the text does not occur.
 */
function rankNode(node, text) {
  const name = node.name.toLowerCase();
  if (name === text) return EXACT_MATCH;
  if (name.includes(text)) return name.indexOf(text);
  const place = node.label.toLowerCase().indexOf(text);
  return place >= 0 ? LABEL_MATCH + place : null;
}

export class Search {
  /**
   * @param {HTMLInputElement} field
   * @param {HTMLElement} list
   * @param {(selection: Selection) => void} select
   */
  constructor(field, list, select) {
    this.field = field;
    this.list = list;
    this.select = select;
    /** @type {MapNode[]} */
    this.nodes = [];
    /** @type {MapNode[]} */
    this.found = [];
    this.active = 0;
    field.addEventListener("input", () => this.showResults());
    field.addEventListener("focus", () => this.showResults());
    field.addEventListener("blur", () => this.closeList());
    field.addEventListener("keydown", (event) => this.handleKey(event));
  }

  /** @param {MapModel} map */
  useMap(map) {
    this.nodes = [...map.nodes.values()];
  }

  showResults() {
    this.found = findNodes(this.nodes, this.field.value);
    this.active = 0;
    this.updateList(this.field.value.trim());
  }

  /** @param {string} text The list is hidden if it is empty. */
  updateList(text) {
    const nothing = createHtml("li", { class: "muted" }, "No service or queue with this name");
    const options = this.found.map((node, index) => this.createOption(node, index));
    replaceContent(this.list, options.length || !text ? options : nothing);
    this.list.hidden = !text;
    setAttribute(this.field, "aria-expanded", String(Boolean(text)));
    setAttribute(this.field, "aria-activedescendant", this.found.length ? `found-${this.active}` : null);
  }

  /**
   * @param {MapNode} node
   * @param {number} index
   */
  createOption(node, index) {
    // On mousedown, because a click comes after the field has lost the focus and the list is closed.
    const pick = (/** @type {MouseEvent} */ event) => {
      event.preventDefault();
      this.pickNode(node);
    };
    return createHtml(
      "li",
      { id: `found-${index}`, role: "option", "aria-selected": String(index === this.active), mousedown: pick },
      createHtml("b", {}, createName(node.label)),
      createHtml("span", { class: "muted" }, joinTexts(" · ", [node.kind, cleanName(node.where)])),
    );
  }

  /** @param {KeyboardEvent} event */
  handleKey(event) {
    const active = this.found[this.active];
    if (event.key === "ArrowDown" && active) this.moveActive(1);
    else if (event.key === "ArrowUp" && active) this.moveActive(-1);
    else if (event.key === "Enter" && active) this.pickNode(active);
    else if (event.key === "Escape" && !this.list.hidden) this.clearField();
    else return;
    event.preventDefault();
  }

  /** @param {number} step */
  moveActive(step) {
    this.active = (this.active + step + this.found.length) % this.found.length;
    this.updateList(this.field.value.trim());
  }

  /** @param {MapNode} node */
  pickNode(node) {
    this.field.value = "";
    this.field.blur();
    this.select({ node: node.id });
  }

  clearField() {
    this.field.value = "";
    this.closeList();
  }

  closeList() {
    this.found = [];
    this.updateList("");
  }
}
