// What the messages of a hop said besides their latency: redelivered, dead-lettered, waits in batches, schemas.

import { createFigures, createHtml, createSection } from "./dom.js";
import { formatCount, formatDuration, formatMoment, formatPercent } from "./format.js";
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
 * @param {number} now Seconds since the epoch.
 */
export function createFactsSection({ facts }, now) {
  if (!facts) return false;
  const figures = listFactFigures(facts);
  const schemas = facts.schemas.slice(-MAX_SCHEMAS).reverse();
  return createSection(
    "What messages say",
    figures.length > 0 && createFigures(...figures),
    schemas.map((schema) => createHtml("p", {}, createHtml("b", {}, "Schema: "), describeSchema(schema, now))),
  );
}

/**
 * List what is there, each as the name and the text of a figure.
 * @param {EdgeFacts} facts
 * @returns {[name: string, text: string][]}
 */
export function listFactFigures(facts) {
  /** @type {[name: string, text: string][]} */
  const figures = [];
  if (facts.redelivered) {
    figures.push(["redelivered", formatShare(facts.redelivered, facts.redelivered_share)]);
  }
  if (facts.dead_lettered) {
    figures.push(["dead-lettered", formatShare(facts.dead_lettered, facts.dead_lettered_share)]);
  }
  if (facts.waits) {
    figures.push(["waited in its own batch: mean", formatDuration(facts.mean_wait)]);
    figures.push(["longest", formatDuration(facts.longest_wait)]);
  }
  return figures;
}

/**
 * Describe a schema, as in "17 (orders-value) since 14:03".
 * @param {EdgeSchema} schema
 * @param {number} now Seconds since the epoch.
 */
export function describeSchema({ id, subject, since }, now) {
  const name = subject && ` (${cleanName(subject, MAX_CHARACTERS)})`;
  return `${id}${name} since ${formatMoment(since, now)}`;
}

/**
 * @param {number} count
 * @param {number} share
 */
function formatShare(count, share) {
  return `${formatCount(count)} (${formatPercent(share)})`;
}
