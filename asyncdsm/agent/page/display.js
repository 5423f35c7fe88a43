// What of the map is displayed, and how: as a map or as a list, only the neighbors of a node, and what a filter finds
// or hides. It is part of the page's address.

/** @import { ViewFields } from "./address.js" */
/** @import { LinkedNode } from "./map_model.js" */

/**
 * @typedef {"env" | "type" | "cluster"} TraitName
 * @typedef {"env" | "cluster"} GroupedBy
 * @typedef {object} Display
 * @property {"map" | "list" | null} view Null if the page chooses: a list where it is narrow.
 * @property {string} focus The id of the node whose neighbors alone are shown; empty for all nodes.
 * @property {number} steps How many links a neighbor is away at most.
 * @property {string} find Words; those that begin with "-" hide.
 * @property {Set<string>} hidden Traits such as "env:staging".
 * @property {GroupedBy | null} group By what services and queues are in groups.
 * @property {Set<string>} folded The keys of groups whose content is not shown, such as "env:staging".
 * @property {boolean} whole Whether a map that is too large to be read at once is drawn as a whole.
 */

export const STEPS = [1, 2, 3];
/** A map of more nodes begins with this many: those where something is wrong, and the busiest. */
export const MOST_NODES = 70;

/**
 * @param {ViewFields} fields
 * @returns {Display}
 */
export function parseDisplay({ view, focus = "", steps, find = "", hide, whole, group, fold }) {
  return {
    view: view === "map" || view === "list" ? view : null,
    focus,
    steps: STEPS.find((number) => String(number) === steps) ?? 1,
    find,
    hidden: new Set((hide ?? "").split(",").flatMap(decodeTrait)),
    group: group === "env" || group === "cluster" ? group : null,
    folded: new Set((fold ?? "").split(",").flatMap(decodeKey)),
    whole: whole === "1",
  };
}

/**
 * Return the parameters of a request for the map; those of the default are left out.
 * @param {Display} display
 */
export function toMapQuery({ view, focus, steps, find, hidden, whole, group, folded }) {
  const isGrouped = group !== null && view !== "list"; // the list has its groups by itself
  return {
    most: whole || focus || find.trim() || view === "list" ? undefined : MOST_NODES,
    focus: focus || undefined,
    steps: focus && steps > 1 ? steps : undefined,
    find: find.trim() || undefined,
    hide: formatHidden(hidden),
    group: isGrouped ? group : undefined,
    fold: isGrouped ? formatHidden(folded) : undefined,
  };
}

/** @param {Iterable<string>} hidden Traits, or the keys of groups. */
export function formatHidden(hidden) {
  return [...hidden].map(encodeTrait).join(",") || undefined;
}

/** @param {Display} display */
export function countFilters({ find, hidden }) {
  return hidden.size + find.split(/\s+/).filter(Boolean).length;
}

/**
 * @param {TraitName} name
 * @param {string} value
 */
export function formatTrait(name, value) {
  return `${name}:${value}`;
}

/**
 * Return the traits by which a node can be hidden.
 * @param {Pick<LinkedNode, "kind" | "where" | "cluster">} node
 * @returns {[name: TraitName, value: string][]}
 */
export function listTraits({ kind, where, cluster }) {
  if (kind === "service") return [["env", where]];
  return [
    ["type", where],
    ["cluster", cluster ?? ""],
  ];
}

/**
 * Return the fields of the address in which a group is folded, or is not any more.
 * @param {Display} display
 * @param {string} key
 */
export function toggleFold({ folded }, key) {
  const changed = new Set(folded);
  if (!changed.delete(key)) changed.add(key);
  return { fold: formatHidden(changed) };
}

/** @param {string} trait */
function encodeTrait(trait) {
  const colon = trait.indexOf(":");
  if (colon < 0) return trait;
  return `${trait.slice(0, colon)}:${encodeURIComponent(trait.slice(colon + 1))}`;
}

/** @param {string} text */
function decodeTrait(text) {
  return /^(env|type|cluster):/.test(text) ? decodeKey(text) : [];
}

/** @param {string} text */
function decodeKey(text) {
  if (!text) return [];
  try {
    return [decodeURIComponent(text)];
  } catch {
    return [];
  }
}
