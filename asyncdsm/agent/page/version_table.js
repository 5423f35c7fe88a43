// The versions of a service side by side: what passed while each of them reported, and what is different since.

import { AgentError, fetchVersions } from "./api.js";
import { createHint, createHtml, createSection } from "./dom.js";
import { formatCount, formatDuration, formatMoment, formatPercent, formatRate } from "./format.js";
import { cleanName, createName } from "./names.js";

/** @import { RangeQuery } from "./api.js" */
/** @import { Edge, Service, VersionNumbers } from "./api_types.d.ts" */
/** @import { Child } from "./dom.js" */
/** @import { MapModel } from "./map_model.js" */

const MAX_CHARACTERS = 24;
const MAX_VERSIONS = 6;
const NOT_FOUND = 404;
const NOTHING = "–";

/**
 * Create the section about the versions of a service: in all, or on one of its hops. False if only one is known.
 * @param {Service | null | undefined} service
 * @param {MapModel} map
 * @param {RangeQuery} range
 * @param {Pick<Edge, "id">} [edge]
 */
export async function createVersionSection(service, map, range, edge) {
  if (!service || service.versions.length < 2) return false;
  const numbers = await fetchNumbers(service, range, edge);
  if (numbers.length < 2) return false;
  return createSection(
    "Versions",
    numbers.length > MAX_VERSIONS && createHint(`The last ${MAX_VERSIONS} of ${numbers.length} are shown.`),
    createTable(numbers.slice(-MAX_VERSIONS), map),
    listDifferences(numbers.slice(-MAX_VERSIONS)).map((text) => createHtml("p", {}, text)),
    numbers.some(({ versions }) => versions.length > 1) &&
      createHint("What passed while several versions reported cannot be told apart: it is in a column of its own."),
  );
}

/**
 * @param {Service} service
 * @param {RangeQuery} range
 * @param {Pick<Edge, "id">} [edge]
 * @returns {Promise<VersionNumbers[]>}
 */
async function fetchNumbers({ name, env }, range, edge) {
  try {
    const answer = await fetchVersions({ service: name, env, ...range });
    return edge ? (answer.edges.find((each) => each.edge === edge.id)?.versions ?? []) : answer.versions;
  } catch (error) {
    if (error instanceof AgentError && error.status === NOT_FOUND) return [];
    throw error;
  }
}

/**
 * Name what reported: "2.0", "2.0 and 2.1 together", or "no version".
 * @param {string[]} versions
 */
export function nameVersions(versions) {
  const names = versions.map((version) => cleanName(version, MAX_CHARACTERS));
  if (names.length < 2) return names[0] ?? "no version";
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)} together`;
}

/**
 * Say what is different since each version, in the order of time.
 * @param {VersionNumbers[]} numbers
 */
export function listDifferences(numbers) {
  return numbers.flatMap(({ versions, compared_with: before, differences }) => {
    if (before === null || differences.length > 0) return differences.map((text) => `${capitalize(text)}.`);
    const compared = `to compare it with ${cleanName(before, MAX_CHARACTERS)}`;
    return [`No large difference since ${nameVersions(versions)}, or too few messages ${compared}.`];
  });
}

/** @param {string} text */
const capitalize = (text) => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;

/**
 * Return the rows of the table that have any figure, each with its name and a text for each version.
 * @param {VersionNumbers[]} numbers
 * @param {Pick<MapModel, "to">} map
 * @returns {[name: string, texts: string[]][]}
 */
export function listFigures(numbers, { to }) {
  /** @type {[name: string, format: (each: VersionNumbers) => string][]} */
  const figures = [
    ["from", ({ from }) => formatMoment(from, to)],
    ["to", ({ to: end }) => formatMoment(end, to)],
    ["messages", ({ count }) => formatCount(count)],
    ["rate", ({ rate }) => formatRate(rate)],
    ["in queue p50", ({ time_in_queue: latency }) => formatDuration(latency.p50)],
    ["in queue p99", ({ time_in_queue: latency }) => formatDuration(latency.p99)],
    ["in service p50", ({ time_in_service: latency }) => formatDuration(latency.p50)],
    ["in service p99", ({ time_in_service: latency }) => formatDuration(latency.p99)],
    ["end to end p50", ({ end_to_end: latency }) => formatDuration(latency.p50)],
    ["end to end p99", ({ end_to_end: latency }) => formatDuration(latency.p99)],
    ["redelivered", ({ redelivered_share: share }) => formatPercent(share)],
    ["dead-lettered", ({ dead_lettered_share: share }) => formatPercent(share)],
  ];
  return figures
    .map(([name, format]) => /** @type {[string, string[]]} */ ([name, numbers.map(format)]))
    .filter(([, texts]) => texts.some((text) => text !== NOTHING));
}

/**
 * Create a table with a column for each version, which scrolls if it is wider than the panel.
 * @param {VersionNumbers[]} numbers
 * @param {MapModel} map
 */
function createTable(numbers, map) {
  const createHead = (/** @type {Child} */ child) => createHtml("th", { scope: "col" }, child);
  const heads = numbers.map(({ versions }) => createHead(createName(nameVersions(versions))));
  const rows = listFigures(numbers, map).map(([name, texts]) => {
    const cells = texts.map((text) => createHtml("td", {}, text));
    return createHtml("tr", {}, createHtml("th", { scope: "row" }, name), cells);
  });
  const table = createHtml(
    "table",
    {},
    createHtml("thead", {}, createHtml("tr", {}, createHtml("td", {}), heads)),
    createHtml("tbody", {}, rows),
  );
  const attributes = { class: "wide", role: "group", tabindex: 0, "aria-label": "Versions", "data-key": "versions" };
  return createHtml("div", attributes, table);
}
