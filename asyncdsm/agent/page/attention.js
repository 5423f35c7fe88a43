// What needs attention at a queue: messages that nobody reads, that were dead-lettered, or that are delivered again.

import { formatPercent, formatQuantity, formatSince, joinTexts } from "./format.js";

/** @import { Edge, Queue } from "./api_types.d.ts" */

const LONGEST_SINCE = 58 * 60;
/** From which share of messages on redeliveries need attention: single ones are usual when a service restarts. */
const REDELIVERED_SHARE = 0.01;

/**
 * @param {Pick<Queue, "unread_since">} queue
 * @param {{ to: number }} map
 */
export function describeUnread({ unread_since: since }, { to }) {
  const told = joinTexts(" ", ["Messages come in, but no service was seen reading them", describeSince(since, to)]);
  return `${told}. A program that reports nothing to this agent may read them.`;
}

/**
 * Return what the messages of a hop said in the last minutes, in sentences, if that needs attention.
 * @param {Pick<Edge, "facts">} edge
 * @param {{ to: number, isPast: boolean }} map
 * @param {string} service What to call the service that read them.
 */
export function listDeliveries({ facts }, { to, isPast }, service) {
  const recent = facts?.recent;
  if (!recent) return [];
  const when = `in ${isPast ? "these" : "the last"} 5 minutes`;
  /** @type {(what: string, number: number, since: number | null) => string} */
  const tell = (what, number, since) =>
    `${formatShare(number, recent.count)} that ${service} read ${when} ` +
    `${number === 1 ? "was" : "were"} ${what}, ${describeSince(since, to)}.`;
  const isRedelivered = recent.redelivered > 0 && recent.redelivered >= REDELIVERED_SHARE * recent.count;
  return [
    ...(recent.dead_lettered ? [tell("dead-lettered before", recent.dead_lettered, recent.dead_lettered_since)] : []),
    ...(isRedelivered ? [tell("delivered again", recent.redelivered, recent.redelivered_since)] : []),
  ];
}

/**
 * @param {number} number
 * @param {number} count
 */
function formatShare(number, count) {
  // Facts are kept in minutes, so there may be more of them than messages.
  const share = count > 0 ? ` (${formatPercent(Math.min(1, number / count))})` : "";
  return `${formatQuantity(number, "message")}${share}`;
}

/**
 * Say since when something that lasts until `to` is so. The agent looks an hour back, and no further.
 * @param {number | null | undefined} since
 * @param {number} to
 */
function describeSince(since, to) {
  if (since === null || since === undefined) return "";
  return to - since >= LONGEST_SINCE ? "for an hour or longer" : `since ${formatSince(since)}`;
}
