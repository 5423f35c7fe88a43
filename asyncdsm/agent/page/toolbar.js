// The row above the map: map or list, the filter, and the neighbors of a node.

import { readAddress, writeView } from "./address.js";
import { countFilters, formatHidden, formatTrait, listTraits, MOST_NODES, parseDisplay, STEPS } from "./display.js";
import { createHtml, getElement, replaceContent, setAttribute, setText } from "./dom.js";
import { findGroups } from "./groups.js";
import { cleanName, createName } from "./names.js";

/** @import { ViewFields } from "./address.js" */
/** @import { Display, TraitName } from "./display.js" */
/** @import { LinkedNode, MapModel } from "./map_model.js" */

/** @type {Record<TraitName, { title: string, none: string }>} */
const TRAITS = {
  env: { title: "Environment", none: "(none)" },
  type: { title: "Type", none: "(none)" },
  cluster: { title: "Cluster", none: "(unknown)" },
};
const MAX_LISTED = 40;
// While somebody types, a large map is not requested for each letter.
const TYPING_PAUSE_MS = 200;

export class Toolbar {
  constructor() {
    this.filterButton = getElement("filter", HTMLButtonElement);
    this.form = getElement("filters", HTMLFormElement);
    this.find = getElement("find", HTMLInputElement);
    this.traits = getElement("traits", HTMLElement);
    this.group = getElement("group", HTMLSelectElement);
    this.neighbors = getElement("neighbors", HTMLElement);
    this.showAllButton = getElement("show-all", HTMLButtonElement);
    this.shown = getElement("shown", HTMLElement);
    this.selected = "";
    /** What the button "Show all" does. @type {ViewFields} */
    this.next = {};
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.connect();
  }

  connect() {
    for (const button of listViewButtons()) {
      button.addEventListener("click", () => writeView({ view: button.dataset.view }));
    }
    this.group.addEventListener("change", () => writeView({ group: this.group.value || undefined, fold: undefined }));
    this.filterButton.addEventListener("click", () => this.openFilter(Boolean(this.form.hidden)));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.find.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.filterNames(), TYPING_PAUSE_MS);
    });
    this.find.addEventListener("change", () => this.filterNames()); // Enter was pressed, or the field is left
    this.form.addEventListener("keydown", (event) => this.handleEscape(event));
    this.showAllButton.addEventListener("click", () => writeView(this.next));
    addEventListener("keydown", (event) => this.handleKey(event));
  }

  /** @param {boolean} isOpen */
  openFilter(isOpen) {
    this.form.hidden = !isOpen;
    setAttribute(this.filterButton, "aria-expanded", String(isOpen));
    if (isOpen) this.find.focus();
  }

  filterNames() {
    clearTimeout(this.timer);
    if (this.find.value !== parseDisplay(readAddress()).find) writeView({ find: this.find.value }, { replace: true });
  }

  /** @param {KeyboardEvent} event */
  handleEscape(event) {
    if (event.key !== "Escape") return;
    event.preventDefault();
    this.openFilter(false);
    this.filterButton.focus();
  }

  /**
   * The key "n" shows only the neighbors of the selected node, or everything again; "f" opens the filter.
   * @param {KeyboardEvent} event
   */
  handleKey(event) {
    const isTyping = event.target instanceof Element && event.target.closest("input, select, textarea");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "f") this.openFilter(true);
    else if (event.key === "n") this.toggleFocus();
    else return;
    event.preventDefault();
  }

  toggleFocus() {
    const { focus } = readAddress();
    if (focus) writeView({ focus: undefined, steps: undefined });
    else if (this.selected) writeView({ focus: this.selected });
  }

  /**
   * @param {MapModel} map
   * @param {"map" | "list"} view What is shown.
   * @param {string | undefined} selected The id of the node that is selected.
   */
  update(map, view, selected) {
    const display = parseDisplay(readAddress());
    this.selected = map.nodes.has(selected ?? "") ? (selected ?? "") : "";
    for (const button of listViewButtons()) setAttribute(button, "aria-pressed", String(button.dataset.view === view));
    const count = countFilters(display);
    setText(this.filterButton, count ? `Filter (${count})` : "Filter");
    if (document.activeElement !== this.find) this.find.value = display.find;
    this.updateTraits(map, display);
    this.group.value = display.group ?? "";
    this.group.hidden = display.group === null && !isDivided(map);
    this.updateNeighbors(map, display);
    const nodes = [...map.nodes.values()];
    const shown = nodes.filter((node) => node.shown).length;
    const isFiltered = count > 0 || display.focus !== "";
    const isPart = !isFiltered && shown + countFolded(map) < nodes.length;
    const about = isPart ? ": what is wrong, and the busiest" : "";
    setText(this.shown, shown < nodes.length ? `${shown} of ${nodes.length} shown${about}` : "");
    this.next = isFiltered ? NO_FILTER : { whole: isPart ? "1" : undefined };
    this.showAllButton.hidden = !isFiltered && !isPart && !(display.whole && nodes.length > MOST_NODES);
    setText(this.showAllButton, isFiltered || isPart ? "Show all" : `Show ${MOST_NODES}`);
  }

  /**
   * Update the check boxes of environments, types and clusters, of which there are several or some are hidden.
   * @param {MapModel} map
   * @param {Display} display
   */
  updateTraits(map, { hidden }) {
    const found = findTraits(map, hidden);
    const key = JSON.stringify([[...found].map(([name, values]) => [name, [...values]]), [...hidden]]);
    if (this.traits.dataset.shown === key) return;
    this.traits.dataset.shown = key;
    replaceContent(
      this.traits,
      [...found].map(([name, values]) => createTraitList(name, [...values].sort().slice(0, MAX_LISTED), hidden)),
    );
  }

  /**
   * @param {MapModel} map
   * @param {Display} display
   */
  updateNeighbors(map, { focus, steps }) {
    const [focused, selected] = [map.nodes.get(focus), map.nodes.get(this.selected)];
    const key = JSON.stringify([focus, focused?.label, steps, selected?.id, selected?.label]);
    if (this.neighbors.dataset.shown === key) return;
    this.neighbors.dataset.shown = key;
    replaceContent(
      this.neighbors,
      focus ? createFocus(focused, steps) : false,
      selected && selected !== focused ? createFocusButton(selected, Boolean(focus)) : false,
    );
  }
}

const NO_FILTER = { focus: undefined, steps: undefined, find: undefined, hide: undefined };

/** @returns {HTMLButtonElement[]} */
function listViewButtons() {
  return [.../** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("button[data-view]"))];
}

/**
 * Return the values of each trait that tells nodes apart, or that is hidden.
 * @param {Pick<MapModel, "nodes">} map
 * @param {Set<string>} hidden
 */
export function findTraits({ nodes }, hidden) {
  /** @type {Map<TraitName, Set<string>>} */
  const found = new Map([
    ["env", new Set()],
    ["type", new Set()],
    ["cluster", new Set()],
  ]);
  for (const node of nodes.values()) for (const [name, value] of listTraits(node)) found.get(name)?.add(value);
  for (const trait of hidden) {
    const colon = trait.indexOf(":");
    found.get(/** @type {TraitName} */ (trait.slice(0, colon)))?.add(trait.slice(colon + 1));
  }
  return new Map([...found].filter(([, values]) => values.size > 1));
}

/**
 * Return how many services and queues are in groups that are folded.
 * @param {Pick<MapModel, "groups">} map
 */
function countFolded({ groups }) {
  return groups.reduce((sum, { folded, services, queues }) => sum + (folded ? services + queues : 0), 0);
}

/**
 * Return whether there are several environments or clusters.
 * @param {MapModel} map
 */
function isDivided(map) {
  const { env, cluster } = findGroups(map);
  return env.size + cluster.size > 0;
}

/**
 * @param {TraitName} name
 * @param {string[]} values
 * @param {Set<string>} hidden
 */
function createTraitList(name, values, hidden) {
  return createHtml(
    "fieldset",
    {},
    createHtml("legend", {}, TRAITS[name].title),
    values.map((value) => createTraitBox(formatTrait(name, value), cleanName(value, 40) || TRAITS[name].none, hidden)),
  );
}

/**
 * @param {string} trait
 * @param {string} label
 * @param {Set<string>} hidden
 */
function createTraitBox(trait, label, hidden) {
  const toggle = (/** @type {Event} */ { target }) => {
    const changed = new Set(hidden);
    if (target instanceof HTMLInputElement && target.checked) changed.delete(trait);
    else changed.add(trait);
    writeView({ hide: formatHidden(changed) });
  };
  const box = createHtml("input", { type: "checkbox", "data-key": trait, checked: !hidden.has(trait), change: toggle });
  return createHtml("label", {}, box, createName(label));
}

/**
 * Create what says whose neighbors are shown, and how far away they may be.
 * @param {LinkedNode | undefined} node
 * @param {number} steps
 */
function createFocus(node, steps) {
  const buttons = STEPS.map((number) =>
    createHtml(
      "button",
      {
        type: "button",
        "aria-pressed": String(number === steps),
        "aria-label": `Neighbors up to ${number} ${number === 1 ? "step" : "steps"} away`,
        "data-key": `steps ${number}`,
        click: () => writeView({ steps: String(number) }),
      },
      String(number),
    ),
  );
  const name = node ? createName(node.label) : "a node that is not on this map";
  return [
    createHtml("span", {}, "Neighbors of ", name),
    createHtml("span", { class: "switch", role: "group", "aria-label": "Steps" }, buttons),
  ];
}

/**
 * @param {LinkedNode} node
 * @param {boolean} hasFocus Whether only the neighbors of another node are shown.
 */
function createFocusButton(node, hasFocus) {
  return createHtml(
    "button",
    {
      type: "button",
      title: `Show only ${node.label} and its neighbors (n)`,
      "data-key": "focus",
      click: () => writeView({ focus: node.id }),
    },
    hasFocus ? `Neighbors of ${node.label}` : "Show only neighbors",
  );
}
