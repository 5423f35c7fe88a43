// What changed: one row for each change, with what it was before, what it is now, and since when.

import { fetchChanges } from "./api.js";
import { createHint, createHtml, createSection } from "./dom.js";
import { formatDuration, formatRate, formatSince, joinTexts } from "./format.js";
import { createHopName } from "./hop_names.js";
import { timePlace } from "./hops.js";
import { cleanName, createName } from "./names.js";

/** @import { RangeQuery } from "./api.js" */
/** @import { Change, Changes, Hop } from "./api_types.d.ts" */
/** @import { MapModel } from "./map_model.js" */
/** @import { PanelActions } from "./panel.js" */

const MAX_ROWS = 8;
const REQUEST_INTERVAL_MS = 5_000;
const LATENCY_KINDS = ["slower", "faster", "back to usual"];
const TROUBLE = ["quiet", "slower", "lag grows", "rate fell"];

/** Requests what changed, less often than the overview is drawn. */
export class ChangesSource {
  constructor() {
    this.key = "";
    this.requestedAt = Number.NEGATIVE_INFINITY;
    /** @type {Promise<Changes> | null} */
    this.answer = null;
  }

  /**
   * @param {RangeQuery} range
   * @returns {Promise<Changes>}
   */
  fetch(range) {
    const key = JSON.stringify(range);
    const isFresh = key === this.key && performance.now() - this.requestedAt < REQUEST_INTERVAL_MS;
    if (this.answer && isFresh) return this.answer;
    this.key = key;
    this.requestedAt = performance.now();
    const answer = fetchChanges(range);
    answer.catch(() => {
      if (this.answer === answer) this.answer = null; // the next request is a new one
    });
    this.answer = answer;
    return answer;
  }
}

/**
 * @param {Changes} changes
 * @param {MapModel} map
 * @param {PanelActions} actions
 */
export function createChangesSection({ changes, from, cut }, map, actions) {
  const since = formatSince(from);
  if (!changes.length) return createSection("What changed", createHint(`Nothing has changed since ${since}.`));
  const more = changes.length - MAX_ROWS + (cut?.changes ?? 0);
  const rest = changes.slice(MAX_ROWS).map((change) => createRow(change, map, actions));
  const others = createHtml("details", {}, createHtml("summary", {}, `${more} more since ${since}`), rest);
  return createSection(
    "What changed",
    changes.slice(0, MAX_ROWS).map((change) => createRow(change, map, actions)),
    rest.length > 0 && others,
  );
}

/**
 * Create a button that selects what changed, in a range in which the change is seen. What is not on the map any more is
 * shown as it was at that time.
 * @param {Change} change
 * @param {MapModel} map
 * @param {PanelActions} actions
 */
function createRow(change, map, actions) {
  const selection = change.edge === null ? { node: change.node } : { edge: change.edge };
  const isOnMap = change.edge === null ? map.nodes.has(change.node) : map.links.has(change.edge);
  return createHtml(
    "button",
    {
      type: "button",
      class: `hop change${TROUBLE.includes(change.kind) && !change.is_usual ? " trouble" : ""}`,
      "data-key": `change ${change.kind} ${change.edge ?? change.node}`,
      click: () => {
        if (!isOnMap) actions.lookAt(selection, change.since);
        else if (change.since < map.from) actions.lookBackTo(selection, change.since);
        else actions.select(selection);
      },
    },
    createHtml("span", { class: "what" }, createChangeName(change, map)),
    createHtml("span", { class: "long" }, describeKind(change)),
    createHtml("span", { class: "more" }, describeLevels(change)),
  );
}

/**
 * @param {Change} change
 * @param {MapModel} map
 */
function createChangeName(change, map) {
  if (change.edge === null) return createName(map.nodes.get(change.node)?.label ?? cleanName(change.service));
  // A change names its hop with the fields of a hop of a pathway.
  return createHopName(/** @type {Hop} */ (/** @type {unknown} */ (change)), map);
}

/**
 * Say what changed, in one or two words: "slower", "version 2.0".
 * @param {Change} change
 */
export function describeKind({ kind, edge, now }) {
  if (kind === "version") return `version ${cleanName(String(now))}`;
  if (kind === "new") return edge === null ? "new service" : "new";
  return kind;
}

/**
 * Say from what to what a change was; only what it is now, if nothing was before.
 * @param {string} before
 * @param {string} now
 */
function describeStep(before, now) {
  return before && now ? `${before} → ${now}` : now;
}

/**
 * Name what is told of a change, if its unit does not.
 * @param {Change["kind"]} kind
 * @param {string} direction
 * @param {Change["quantile"]} quantile
 */
function nameFigure(kind, direction, quantile) {
  if (LATENCY_KINDS.includes(kind)) return joinTexts(" ", [quantile === "p99" && "p99", timePlace({ direction })]);
  return kind === "lag grows" && "oldest unread message";
}

/**
 * Say from what to what a change was, and since when: "in queue 310 ms → 4.2 s since 14:03, 300 ms on the day before".
 * @param {Change} change
 */
export function describeLevels({ kind, direction, before, now: level, quantile, since, usual, is_usual: isUsual }) {
  const format = kind === "rate fell" || kind === "rate rose" ? formatRate : formatDuration;
  const formatLevel = (/** @type {Change["before"]} */ value) =>
    typeof value === "string" ? cleanName(value) : format(value);
  const levels = describeStep(before === null ? "" : formatLevel(before), level === null ? "" : formatLevel(level));
  const onDayBefore = usual !== null && `${format(usual)} at this hour of the day before`;
  return joinTexts(", ", [
    joinTexts(" ", [levels && nameFigure(kind, direction, quantile), levels, `since ${formatSince(since)}`]),
    isUsual ? "as at this hour of the day before" : onDayBefore,
  ]);
}
