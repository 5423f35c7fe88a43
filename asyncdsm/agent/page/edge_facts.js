// What the messages of a hop said besides their latency: redelivered, dead-lettered, waits in batches, schemas.

import { createHtml, createSection } from "./dom.js";
import { formatCount, formatDuration, formatPercent, formatSince } from "./format.js";
import { cleanName } from "./names.js";

/** @import { Edge, EdgeFacts, EdgeSchema } from "./api_types.d.ts" */
/** @import { ChartMarker } from "./chart.js" */

const MAX_CHARACTERS = 24;
const MAX_SCHEMAS = 5;

/**
 * Return a marker for each time at which the messages of a hop got another schema. The first known one is no change.
 * @param {Pick<Edge, "facts">} edge
 * @returns {ChartMarker[]}
 */
export function listSchemaMarkers({ facts }) {
  return (facts?.schemas ?? []).slice(1).map(({ id, since }) => ({ time: since, label: `schema ${id}` }));
}

/**
 * Create the section about a hop's messages; false if they said nothing.
 * @param {Edge} edge
 */
export function createFactsSection({ facts }) {
  if (!facts) return false;
  const lines = listFacts(facts);
  return createSection(
    "What messages say",
    lines.map(([name, text]) => createHtml("p", {}, createHtml("b", {}, `${name}: `), text)),
  );
}

/**
 * Returns what messages said, as names with their texts. The newest schema comes first.
 * @param {EdgeFacts} facts
 * @returns {[name: string, text: string][]}
 */
export function listFacts(facts) {
  /** @type {[name: string, text: string][]} */
  const lines = [];
  if (facts.redelivered) lines.push(["Redelivered", formatShare(facts.redelivered, facts.redelivered_share)]);
  if (facts.dead_lettered) {
    const share = formatShare(facts.dead_lettered, facts.dead_lettered_share);
    lines.push(["Dead-lettered before", `${share}: rejected, expired, or held back for a retry`]);
  }
  if (facts.waits) {
    const wait = `mean ${formatDuration(facts.mean_wait)}, longest ${formatDuration(facts.longest_wait)}`;
    lines.push(["Waited in its own batch", wait]);
  }
  const schemas = facts.schemas.slice(-MAX_SCHEMAS).reverse();
  return [...lines, ...schemas.map((schema) => /** @type {[string, string]} */ (["Schema", describeSchema(schema)]))];
}

/**
 * Describe a schema, as in "17 (orders-value) since 14:03".
 * @param {EdgeSchema} schema
 */
export function describeSchema({ id, subject, since }) {
  const name = subject && ` (${cleanName(subject, MAX_CHARACTERS)})`;
  return `${id}${name} since ${formatSince(since)}`;
}

/**
 * @param {number} count
 * @param {number} share
 */
function formatShare(count, share) {
  return `${formatCount(count)}, ${formatPercent(share)} of all`;
}
