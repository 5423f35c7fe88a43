// What is downstream and upstream of a service or a queue, and how long messages take to get from one to the other.

import { AgentError, fetchDownstream, fetchLatency } from "./api.js";
import { createFigures, createHint, createHtml, createSection } from "./dom.js";
import { formatCount, formatDuration, formatQuantity, joinTexts } from "./format.js";
import { joinEnds } from "./hop_names.js";
import { cleanName, createName } from "./names.js";

/** @import { RangeQuery } from "./api.js" */
/** @import { LatencyBetween, Quantiles, RelatedNode } from "./api_types.d.ts" */
/** @import { Child } from "./dom.js" */
/** @import { LinkedNode, MapModel } from "./map_model.js" */
/** @import { PanelActions } from "./panel.js" */

const MAX_LISTED = 12;
const NOT_FOUND = 404;

/** @typedef {{ downstream: RelatedNode[], upstream: RelatedNode[] }} Related */

/** The node to which the time is measured, by the node from which it is: kept while the panel is drawn again. */
const chosen = /** @type {Map<string, string>} */ (new Map());

/**
 * @param {LinkedNode} node
 * @param {MapModel} map
 * @param {RangeQuery} range
 * @param {PanelActions} actions
 */
export async function createRelations(node, map, range, actions) {
  const related = await fetchRelated(node, range);
  const { downstream, upstream } = related;
  return [
    downstream.length + upstream.length > 0 &&
      createSection("Time to another point", ...(await createMeasure(node, related, map, range))),
    downstream.length > 0 && createSection("Downstream", createRelatedList("downstream", downstream, map, actions)),
    upstream.length > 0 && createSection("Upstream", createRelatedList("upstream", upstream, map, actions)),
  ];
}

/**
 * @param {LinkedNode} node
 * @param {RangeQuery} range
 * @returns {Promise<Related>}
 */
async function fetchRelated({ kind, name, where, cluster, incoming, outgoing }, range) {
  const isPassed = [...incoming, ...outgoing].some(({ edge }) => edge === null || edge.count > 0);
  if (!isPassed) return { downstream: [], upstream: [] }; // a service that is quiet, or a queue that only it uses
  const names =
    kind === "service" ? { service: name, env: where } : { queue: name, type: where, cluster: cluster ?? "" };
  try {
    return await fetchDownstream({ ...names, ...range });
  } catch (error) {
    if (error instanceof AgentError && error.status === NOT_FOUND) return { downstream: [], upstream: [] };
    throw error;
  }
}

/**
 * Create a field to choose another node, and the time between the two if one is chosen.
 * @param {LinkedNode} node
 * @param {Related} related
 * @param {MapModel} map
 * @param {RangeQuery} range
 */
async function createMeasure(node, related, map, range) {
  const result = createHtml("section", { class: "measured", "aria-live": "polite" });
  const show = async () => result.replaceChildren(...(await createResult(node, related, map, range)));
  const choose = (/** @type {Event} */ event) => {
    chosen.set(node.id, /** @type {HTMLSelectElement} */ (event.target).value);
    show();
  };
  await show();
  const options = [
    createOption("", "Measure to …", chosen.get(node.id) ?? ""),
    createGroup("Downstream", related.downstream, node, map),
    createGroup("Upstream", related.upstream, node, map),
  ];
  const attributes = { "aria-label": "Measure the time to", "data-key": "measure", change: choose };
  return [createHtml("select", attributes, options), result];
}

/**
 * @param {string} label
 * @param {RelatedNode[]} nodes
 * @param {LinkedNode} node
 * @param {MapModel} map
 */
function createGroup(label, nodes, node, map) {
  const others = nodes.filter(({ id }) => id !== node.id);
  const options = others.map((other) => createOption(other.id, nameUniquely(other, map), chosen.get(node.id) ?? ""));
  return others.length > 0 && createHtml("optgroup", { label }, options);
}

/**
 * @param {string} value
 * @param {string} text
 * @param {string} selected The value of the option that is selected.
 */
const createOption = (value, text, selected) => createHtml("option", { value, selected: value === selected }, text);

/**
 * @param {LinkedNode} node
 * @param {Related} related
 * @param {MapModel} map
 * @param {RangeQuery} range
 * @returns {Promise<(Node | string)[]>}
 */
async function createResult(node, { downstream, upstream }, map, range) {
  const id = chosen.get(node.id) ?? "";
  const isLater = downstream.some((other) => other.id === id);
  const other = [...downstream, ...upstream].find((each) => each.id === id);
  if (!other) return [];
  const names = [nameUniquely(node, map), nameUniquely(other, map)];
  const [first, last] = isLater ? [node.id, id] : [id, node.id];
  try {
    return describeMeasure(await fetchLatency({ first, last, ...range }), isLater ? names : names.toReversed());
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    return [createHint(`${error.message}.`)];
  }
}

/**
 * @param {LatencyBetween} answer
 * @param {string[]} names Of the first node and of the last one.
 */
function describeMeasure(answer, [first = "", last = ""]) {
  const { latency } = answer;
  const title = createHtml("h4", {}, joinEnds(createName(first), createName(last)));
  if (!answer.method) return [title, createHint(explainMeasure(answer))];
  const figures = createFigures(
    ["p50", formatDuration(latency.p50)],
    ["p95", formatDuration(latency.p95)],
    ["p99", formatDuration(latency.p99)],
    ["longest", formatDuration(latency.max)],
  );
  return [title, figures, createHint(explainMeasure(answer))];
}

/**
 * Say where the figures come from and how sure they are.
 * @param {Pick<LatencyBetween, "method" | "count" | "at_least" | "at_most">} answer
 */
export function explainMeasure({ method, count, at_least, at_most }) {
  if (!method) return "No message passed both in the selected time range.";
  const counted = `${formatCount(count)} messages`;
  if (method === "exact") return `Measured, from ${counted}.`;
  const between = (/** @type {keyof Quantiles} */ name) =>
    `${name} between ${formatDuration(at_least[name])} and ${formatDuration(at_most[name])}`;
  return (
    `Estimated, from ${counted}: as if times in queues and services did not depend on each other. ` +
    `Even if they do: ${between("p50")}, ${between("p99")}.`
  );
}

/**
 * @param {"downstream" | "upstream"} direction
 * @param {RelatedNode[]} nodes The nearest first.
 * @param {MapModel} map
 * @param {PanelActions} actions
 * @returns {Child[]}
 */
function createRelatedList(direction, nodes, map, actions) {
  const more = nodes.length - MAX_LISTED;
  return [
    createHint("Counted along the pathways that messages took: a neighbor on the map need not be among them."),
    ...nodes.slice(0, MAX_LISTED).map((node) => createRelatedButton(direction, node, map, actions)),
    more > 0 && createHint(`${more} further away ${more === 1 ? "is" : "are"} not shown.`),
  ];
}

/**
 * @param {"downstream" | "upstream"} direction
 * @param {RelatedNode} node
 * @param {MapModel} map
 * @param {PanelActions} actions
 */
function createRelatedButton(direction, node, map, actions) {
  return createHtml(
    "button",
    {
      type: "button",
      class: "hop",
      disabled: !map.nodes.has(node.id),
      "data-key": `${direction} ${node.id}`,
      click: () => actions.select({ node: node.id }),
    },
    createHtml("span", { class: "what" }, createName(nameRelated(node, map))),
    createHtml("span", { class: "more" }, describeRelated(node)),
  );
}

/** @param {Pick<RelatedNode, "kind" | "distance" | "count">} node */
export function describeRelated({ kind, distance, count }) {
  return joinTexts(" · ", [kind, `${formatQuantity(distance, "link")} away`, `${formatCount(count)} messages`]);
}

/**
 * Return what to call a node where its kind is not said: "mails (queue)" if a service has that label too.
 * @param {Pick<RelatedNode, "id" | "kind" | "name" | "where">} node
 * @param {{ nodes: Map<string, Pick<LinkedNode, "id" | "label">> }} map
 */
export function nameUniquely(node, map) {
  const name = nameRelated(node, map);
  const isShared = [...map.nodes.values()].some(({ id, label }) => id !== node.id && label === name);
  return isShared ? `${name} (${node.kind})` : name;
}

/**
 * @param {Pick<RelatedNode, "id" | "name" | "where">} node
 * @param {{ nodes: Map<string, Pick<LinkedNode, "label">> }} map
 */
function nameRelated({ id, name, where }, map) {
  return map.nodes.get(id)?.label ?? cleanName(name || where);
}
