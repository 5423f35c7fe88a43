// The list of hops: the same as the map in a table that can be sorted, and what a narrow screen shows first.

import { createHtml, replaceContent, setAttribute } from "./dom.js";
import { formatCount, formatDuration, formatQuantity, formatRate, joinTexts } from "./format.js";
import { findGroupKey, nameGroup } from "./groups.js";
import { createHopName, formatHop } from "./hop_names.js";
import { cleanName, createName } from "./names.js";

/** @import { Selection } from "./address.js" */
/** @import { Edge } from "./api_types.d.ts" */
/** @import { Display } from "./display.js" */
/** @import { MapModel } from "./map_model.js" */

/**
 * @typedef {object} Column
 * @property {string} id
 * @property {string} title
 * @property {(edge: Edge, map: MapModel) => number | string | null} value What rows are sorted by.
 * @property {(edge: Edge) => string} [format] The text of a cell; the first column has none.
 *
 * @typedef {{ column: string, ascending: boolean }} Order
 */

const MAX_ROWS = 200;

/** @type {Column[]} */
export const COLUMNS = [
  { id: "hop", title: "Hop", value: formatHop },
  timeColumn("queue", "Time in queue", "in", "p50"),
  timeColumn("service", "Time in service", "out", "p50"),
  {
    id: "p99",
    title: "p99",
    value: ({ edge_latency }) => edge_latency.p99,
    format: (edge) => formatDuration(edge.edge_latency.p99),
  },
  { id: "rate", title: "Rate in range", value: ({ rate }) => rate, format: ({ rate }) => formatRate(rate) },
  { id: "count", title: "Messages", value: ({ count }) => count, format: ({ count }) => formatCount(count) },
  { id: "lag", title: "Lag", value: ({ lag }) => lag, format: ({ lag }) => formatCount(lag) },
  { id: "age", title: "Oldest unread", value: readLagSeconds, format: (edge) => formatDuration(readLagSeconds(edge)) },
];

/**
 * Return the column of the median time of the hops of one direction.
 * @param {string} id
 * @param {string} title
 * @param {"in" | "out"} direction
 * @param {"p50"} quantile
 * @returns {Column}
 */
function timeColumn(id, title, direction, quantile) {
  const value = (/** @type {Edge} */ edge) => (edge.direction === direction ? edge.edge_latency[quantile] : null);
  return { id, title, value, format: (edge) => (edge.direction === direction ? formatDuration(value(edge)) : "") };
}

/**
 * Return how old the oldest unread message is; null where that is unknown.
 * @param {Edge} edge
 */
function readLagSeconds({ lag_seconds }) {
  return lag_seconds;
}

/**
 * Return the order that the address names: a column, with "-" before it for the largest first.
 * @param {string | undefined} text
 * @returns {Order}
 */
export function parseOrder(text) {
  const ascending = !text?.startsWith("-");
  const column = ascending ? text : text?.slice(1);
  return COLUMNS.some(({ id }) => id === column)
    ? { column: column ?? "", ascending }
    : { column: "p99", ascending: false };
}

/**
 * Return the order after a click on a column: the largest first, and names from A on; the other way round if the rows
 * are sorted by it already.
 * @param {Order} order
 * @param {string} column
 */
export function turnOrder(order, column) {
  const ascending = order.column === column ? !order.ascending : column === "hop";
  return `${ascending ? "" : "-"}${column}`;
}

/**
 * Return the hops that the map shows, in order. What has no value comes last.
 * @param {MapModel} map
 * @param {Order} order
 */
export function sortEdges(map, { column, ascending }) {
  const value = COLUMNS.find(({ id }) => id === column)?.value ?? (() => null);
  const rows = [...map.links.values()].flatMap(({ edge, points }) =>
    edge && points.length ? [{ edge, value: value(edge, map) }] : [],
  );
  rows.sort((one, other) => compareValues(one.value, other.value, ascending));
  return rows.map(({ edge }) => edge);
}

/**
 * @param {number | string | null} one
 * @param {number | string | null} other
 * @param {boolean} ascending
 */
function compareValues(one, other, ascending) {
  if (one === null || other === null) return Number(one === null) - Number(other === null);
  const order = typeof one === "string" ? one.localeCompare(String(other)) : one - Number(other);
  return ascending ? order : -order;
}

/**
 * Return edges by their groups, each in the order that they had; all of them at once without groups.
 * @param {Edge[]} edges
 * @param {Pick<Display, "group" | "folded">} display
 * @returns {{ key: string | null, edges: Edge[], folded: boolean }[]}
 */
export function divideEdges(edges, { group, folded }) {
  if (group === null) return [{ key: null, edges, folded: false }];
  /** @type {Map<string, Edge[]>} */
  const groups = new Map();
  for (const edge of edges) {
    const key = findGroupKey(edge, group);
    groups.set(key, [...(groups.get(key) ?? []), edge]);
  }
  const sorted = [...groups].sort(([one], [other]) => one.localeCompare(other));
  return sorted.map(([key, each]) => ({ key, edges: each, folded: folded.has(key) }));
}

export class EdgeList {
  /**
   * @param {HTMLElement} element
   * @param {{ select: (selection: Selection) => void, sort: (order: string) => void,
   *   fold: (key: string) => void }} actions
   */
  constructor(element, actions) {
    this.element = element;
    this.actions = actions;
    this.current = "";
    this.showsAll = false;
    element.addEventListener("keydown", (event) => this.handleKey(event));
    element.addEventListener("focusin", ({ target }) => this.markCurrent(target));
  }

  /**
   * @param {MapModel} map
   * @param {Order} order
   * @param {string | undefined} selected The id of the edge that is selected.
   * @param {Pick<Display, "group" | "folded">} [display]
   */
  show(map, order, selected, display = { group: null, folded: new Set() }) {
    const edges = sortEdges(map, order);
    const rows = edges.slice(0, this.showsAll ? edges.length : MAX_ROWS);
    if (!rows.some(({ id }) => id === this.current)) this.current = rows[0]?.id ?? "";
    replaceContent(
      this.element,
      createHtml(
        "table",
        { "aria-label": "Hops" },
        createHtml(
          "thead",
          {},
          createHtml(
            "tr",
            {},
            COLUMNS.map((column) => this.createHead(column, order)),
          ),
        ),
        divideEdges(rows, display).map(({ key, edges: each, folded }) =>
          createHtml(
            "tbody",
            {},
            key !== null && this.createGroupRow(key, each.length, folded),
            !folded && each.map((edge) => this.createRow(edge, map, edge.id === selected)),
          ),
        ),
      ),
      rows.length < edges.length && this.createMore(edges.length, () => this.show(map, order, selected, display)),
      edges.length === 0 && createHtml("p", { class: "muted" }, "Nothing to show."),
    );
  }

  /**
   * @param {string} key
   * @param {number} count
   * @param {boolean} folded
   */
  createGroupRow(key, count, folded) {
    const button = createHtml(
      "button",
      {
        type: "button",
        class: "group-name",
        "data-key": `group ${key}`,
        "aria-expanded": String(!folded),
        click: () => this.actions.fold(key),
      },
      createHtml("span", { "aria-hidden": "true" }, folded ? "▸ " : "▾ "),
      createName(nameGroup(key)),
      ` · ${formatQuantity(count, "hop")}`,
    );
    return createHtml("tr", { class: "group-row" }, createHtml("th", { colspan: COLUMNS.length }, button));
  }

  /**
   * @param {Column} column
   * @param {Order} order
   */
  createHead({ id, title }, order) {
    const isSorted = order.column === id;
    const direction = order.ascending ? "ascending" : "descending";
    const button = createHtml(
      "button",
      { type: "button", "data-key": `sort ${id}`, click: () => this.actions.sort(turnOrder(order, id)) },
      title,
      isSorted && createHtml("span", { "aria-hidden": "true" }, order.ascending ? " ▲" : " ▼"),
    );
    return createHtml("th", { scope: "col", class: `column-${id}`, "aria-sort": isSorted && direction }, button);
  }

  /**
   * @param {Edge} edge
   * @param {MapModel} map
   * @param {boolean} isSelected
   */
  createRow(edge, map, isSelected) {
    const button = createHtml(
      "button",
      {
        type: "button",
        class: "name",
        "data-key": `edge ${edge.id}`,
        "data-id": edge.id,
        tabindex: edge.id === this.current ? 0 : -1,
        "aria-current": isSelected && "true",
      },
      createHopName(edge, map),
    );
    const about = createHtml("span", { class: "muted" }, createNarrowTime(edge), describeWhere(edge, map));
    const cells = COLUMNS.flatMap(({ id, format }) =>
      format ? [createHtml("td", { class: `column-${id}` }, format(edge))] : [],
    );
    return createHtml(
      "tr",
      {
        class: `warm-${edge.present.level} ${edge.present.state}${isSelected ? " selected" : ""}`,
        click: () => this.actions.select({ edge: edge.id }),
      },
      createHtml("th", { scope: "row" }, button, about),
      cells,
    );
  }

  /**
   * @param {number} count
   * @param {() => void} update
   */
  createMore(count, update) {
    const showAll = () => {
      this.showsAll = true;
      update();
    };
    return createHtml("button", { type: "button", class: "more-rows", click: showAll }, `Show all ${count}`);
  }

  /** @param {KeyboardEvent} event */
  handleKey(event) {
    const names = /** @type {HTMLElement[]} */ ([...this.element.querySelectorAll("tbody .name")]);
    const at = names.indexOf(/** @type {HTMLElement} */ (event.target));
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: names.length - 1 }[event.key];
    if (at < 0 || next === undefined) return;
    event.preventDefault();
    names[next]?.focus();
  }

  /** @param {EventTarget | null} target */
  markCurrent(target) {
    if (!(target instanceof HTMLElement) || !target.dataset.id) return;
    const before = this.element.querySelector('tbody .name[tabindex="0"]');
    if (before) setAttribute(before, "tabindex", -1);
    setAttribute(target, "tabindex", 0);
    this.current = target.dataset.id;
  }

  /** @param {string} id The id of an edge. */
  focus(id) {
    const names = /** @type {HTMLElement[]} */ ([...this.element.querySelectorAll("tbody .name")]);
    (names.find((name) => name.dataset.id === id) ?? names.find((name) => name.tabIndex === 0))?.focus();
  }
}

/**
 * Create what replaces the columns of times on a narrow screen.
 * @param {Edge} edge
 */
function createNarrowTime({ direction, edge_latency }) {
  const name = direction === "in" ? "time in queue" : "time in service";
  return createHtml("span", { class: "narrow" }, `${name} ${formatDuration(edge_latency.p50)} · `);
}

/**
 * Describe where a hop is, except what the names of its ends say already.
 * @param {Edge} edge
 * @param {MapModel} map
 */
function describeWhere({ id, type, cluster, group, env }, map) {
  const link = map.links.get(id);
  const ends = [link?.from, link?.to].map((end) => map.nodes.get(end ?? ""));
  const isQualified = (/** @type {string} */ kind) => ends.some((node) => node?.kind === kind && node.qualifier);
  return joinTexts(" · ", [
    cleanName(type),
    cluster && !isQualified("queue") && `cluster ${cleanName(cluster, 12)}`,
    group && `group ${cleanName(group, 40)}`,
    env && !isQualified("service") && `env ${cleanName(env, 40)}`,
  ]);
}
