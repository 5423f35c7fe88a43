// The size of the agent's store, how fast it grows, and a warning before its limit shortens what is kept.

import { fetchHealth } from "./api.js";
import { createHint, createSection, createWarning } from "./dom.js";
import { formatBytes } from "./format.js";

/** @import { Health, StoreGrowth } from "./api_types.d.ts" */
/** @import { Child } from "./dom.js" */

const INTERVAL_MS = 30_000;

/** Requests the agent's health, at most every half a minute. */
export class HealthSource {
  constructor() {
    /** @type {Promise<Health> | null} */
    this.answer = null;
    this.requestedAt = Number.NEGATIVE_INFINITY;
  }

  /** @returns {Promise<Health>} */
  fetch() {
    if (this.answer && performance.now() - this.requestedAt < INTERVAL_MS) return this.answer;
    this.requestedAt = performance.now();
    const answer = fetchHealth();
    answer.catch(() => {
      this.answer = null; // the next one who asks requests it again
    });
    this.answer = answer;
    return answer;
  }
}

const source = new HealthSource();

/**
 * @returns {Promise<Child>} Nothing if the store has no limit of its own.
 * @throws {AgentError} If the agent does not answer.
 */
export async function createStoreSection() {
  const { growth, problems = [] } = await source.fetch();
  if (!growth) return null;
  const warning = problems.find(({ name }) => name === "growth")?.problem;
  return createSection("Store", createHint(describeGrowth(growth)), warning && createWarning(toSentence(warning)));
}

/** @param {StoreGrowth} growth */
export function describeGrowth({ used_bytes, limit_bytes, bytes_a_day }) {
  const growing = bytes_a_day ? `; at the present rate, ${formatBytes(bytes_a_day)} are written a day` : "";
  return `${formatBytes(used_bytes)} of ${formatBytes(limit_bytes)}${growing}.`;
}

/** @param {string} text */
export function toSentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
