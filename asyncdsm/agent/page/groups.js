// Environments and clusters: where there are several, each has a color on the map, and the legend names them.

import { createHtml } from "./dom.js";
import { cleanName } from "./names.js";

/** @import { Edge } from "./api_types.d.ts" */
/** @import { GroupedBy } from "./display.js" */
/** @import { LinkedNode, MapModel } from "./map_model.js" */

const COLOURS = 6;
const MAX_NAMED = 12;

/**
 * @typedef {object} Groups The colors of environments and of clusters; empty where there is only one.
 * @property {Map<string, number>} env
 * @property {Map<string, number>} cluster
 */

/**
 * @param {Pick<MapModel, "nodes">} map
 * @returns {Groups}
 */
export function findGroups({ nodes }) {
  const all = [...nodes.values()];
  const envs = all.flatMap((node) => (node.kind === "service" ? [node.where] : []));
  const clusters = all.flatMap((node) => (node.cluster ? [node.cluster] : []));
  const env = numberColors(envs, 0);
  return { env, cluster: numberColors(clusters, env.size) };
}

/**
 * @param {string[]} names
 * @param {number} first The color of the first name.
 */
function numberColors(names, first) {
  const unique = [...new Set(names)].sort();
  return new Map(unique.length > 1 ? unique.map((name, index) => [name, (first + index) % COLOURS]) : []);
}

/**
 * Return the color of a node; undefined if it has none.
 * @param {Pick<LinkedNode, "kind" | "where" | "cluster">} node
 * @param {Groups} groups
 */
export function findColor({ kind, where, cluster }, { env, cluster: clusters }) {
  return kind === "service" ? env.get(where) : clusters.get(cluster ?? "");
}

/**
 * Return what a group is called, by its key.
 * @param {string} key
 */
export function nameGroup(key) {
  const colon = key.indexOf(":");
  if (colon < 0) return "Shared";
  const [by, name] = [key.slice(0, colon), cleanName(key.slice(colon + 1), 40)];
  return by === "env" ? `Environment ${name || "(none)"}` : `Cluster ${name || "(unknown)"}`;
}

/**
 * Return the key of the group that a hop is in, as the agent's map has it.
 * @param {Pick<Edge, "env" | "type" | "cluster">} edge
 * @param {GroupedBy} by
 */
export function findGroupKey({ env, type, cluster }, by) {
  return by === "env" ? `env:${env}` : `cluster:${cluster || type}`;
}

/** @param {Groups} groups */
export function createGroupLegend({ env, cluster }) {
  const entries = [
    ...[...env].map(([name, color]) => createEntry(`env ${cleanName(name) || "(none)"}`, color)),
    ...[...cluster].map(([name, color]) => createEntry(`cluster ${cleanName(name, 12)}`, color)),
  ];
  const more = entries.length - MAX_NAMED;
  return [...entries.slice(0, MAX_NAMED), more > 0 && createHtml("li", {}, `and ${more} more`)];
}

/**
 * @param {string} text
 * @param {number} color
 */
const createEntry = (text, color) => createHtml("li", { class: `group-${color}` }, text);
