// The search field and its list of results, a combobox as ARIA describes it.

import { fetchTransactions } from "./api.js";
import { createHtml, replaceContent, setAttribute } from "./dom.js";
import { joinTexts } from "./format.js";
import { cleanName, createName } from "./names.js";

/** @import { Selection } from "./address.js" */
/** @import { MapNode, Transaction } from "./api_types.d.ts" */
/** @import { MapModel } from "./map_model.js" */

/**
 * What a search has found.
 * @typedef {{ selection: Selection, label: string, kind: string }} Result
 */

const MAX_RESULTS = 12;
const TRANSACTION_DELAY_MS = 200;
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

/**
 * @param {MapNode} node
 * @returns {Result}
 */
function describeNode(node) {
  return {
    selection: { node: node.id },
    label: node.label,
    kind: joinTexts(" · ", [node.kind, cleanName(node.where)]),
  };
}

/**
 * @param {Transaction} transaction
 * @returns {Result}
 */
export function describeTransaction({ id, state, service, checkpoint }) {
  const where = `${cleanName(checkpoint)} in ${cleanName(service)}`;
  return { selection: { transaction: id }, label: `Transaction ${id}`, kind: joinTexts(" · ", [state, where]) };
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
    /** @type {Result[]} */
    this.found = [];
    this.active = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
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
    const text = this.field.value.trim();
    this.found = findNodes(this.nodes, text).map(describeNode);
    this.active = 0;
    this.updateList(text);
    clearTimeout(this.timer);
    if (text) this.timer = setTimeout(() => this.findTransaction(text), TRANSACTION_DELAY_MS);
  }

  /**
   * Ask the agent for a transaction with this id, and add it to the results unless the text has changed meanwhile.
   * @param {string} text
   */
  async findTransaction(text) {
    const { transactions } = await fetchTransactions({ id: text }).catch(() => ({ transactions: [] }));
    const [found] = transactions;
    if (!found || this.list.hidden || this.field.value.trim() !== text) return;
    this.found = [...this.found, describeTransaction(found)];
    this.updateList(text);
  }

  /** @param {string} text The list is hidden if it is empty. */
  updateList(text) {
    const nothing = createHtml("li", { class: "muted" }, "No service, queue or transaction with this name");
    const options = this.found.map((result, index) => this.createOption(result, index));
    replaceContent(this.list, options.length || !text ? options : nothing);
    this.list.hidden = !text;
    setAttribute(this.field, "aria-expanded", String(Boolean(text)));
    setAttribute(this.field, "aria-activedescendant", this.found.length ? `found-${this.active}` : null);
  }

  /**
   * @param {Result} result
   * @param {number} index
   */
  createOption(result, index) {
    // On mousedown, because a click comes after the field has lost the focus and the list is closed.
    const pick = (/** @type {MouseEvent} */ event) => {
      event.preventDefault();
      this.pickResult(result);
    };
    return createHtml(
      "li",
      { id: `found-${index}`, role: "option", "aria-selected": String(index === this.active), mousedown: pick },
      createHtml("b", {}, createName(result.label)),
      createHtml("span", { class: "muted" }, result.kind),
    );
  }

  /** @param {KeyboardEvent} event */
  handleKey(event) {
    const active = this.found[this.active];
    if (event.key === "ArrowDown" && active) this.moveActive(1);
    else if (event.key === "ArrowUp" && active) this.moveActive(-1);
    else if (event.key === "Enter" && active) this.pickResult(active);
    else if (event.key === "Escape" && !this.list.hidden) this.clearField();
    else return;
    event.preventDefault();
  }

  /** @param {number} step */
  moveActive(step) {
    this.active = (this.active + step + this.found.length) % this.found.length;
    this.updateList(this.field.value.trim());
  }

  /** @param {Result} result */
  pickResult(result) {
    this.field.value = "";
    this.field.blur();
    this.select(result.selection);
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
