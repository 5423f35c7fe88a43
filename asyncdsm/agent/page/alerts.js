// Alerts on the page: a badge in the header, a list in the overview, and marks on the map.

import { createHint, createHtml, createSection, replaceContent, setText } from "./dom.js";
import { formatQuantity, formatSince, joinTexts } from "./format.js";

/** @import { Alert, AlertRule, Alerts } from "./api_types.d.ts" */
/** @import { MapModel } from "./map_model.js" */
/** @import { PanelActions } from "./panel.js" */

/**
 * @typedef {{ rule: AlertRule, alert: Alert }} FiringAlert
 * @typedef {object} MapAlerts What the rules say of the map.
 * @property {FiringAlert[]} firing The critical ones first.
 * @property {number} ruleCount How many rules there are.
 * @property {number} count How many there are, with those that the agent left out.
 * @property {AlertRule[]} unknown The rules of which nothing is known.
 * @property {Map<string, FiringAlert[]>} at The alerts of a node or an edge, by its id.
 */

const MAX_ROWS = 12;

/**
 * @param {Alerts} answer
 * @returns {MapAlerts}
 */
export function joinAlerts({ rules }) {
  const broken = rules.filter((rule) => rule.state === "firing");
  const bySeverity = [...broken].sort((one, other) => Number(isCritical(other)) - Number(isCritical(one)));
  const firing = bySeverity.flatMap((rule) => firingOf(rule).map((alert) => ({ rule, alert })));
  /** @type {Map<string, FiringAlert[]>} */
  const at = new Map();
  for (const each of firing) {
    for (const id of [...each.alert.nodes, ...each.alert.edges]) at.set(id, [...(at.get(id) ?? []), each]);
  }
  const count = broken.reduce((sum, rule) => sum + rule.firing, 0);
  return { firing, ruleCount: rules.length, count, unknown: rules.filter((rule) => rule.state === "unknown"), at };
}

/** @param {AlertRule} rule */
const isCritical = (rule) => rule.severity === "critical";

/** @param {AlertRule} rule */
const firingOf = (rule) => rule.alerts.filter((alert) => alert.state === "firing");

/**
 * Return the severity of the worst alert of a node or an edge, for a style; null if there is none.
 * @param {string} id
 * @param {MapModel} map
 */
export function findSeverity(id, map) {
  return map.alerts.at.get(id)?.[0]?.rule.severity ?? null;
}

/**
 * Return what the alerts of a node or an edge are, for a reader who does not see its style; empty if there are none.
 * @param {string} id
 * @param {MapModel} map
 */
export function describeAlerts(id, map) {
  const names = (map.alerts.at.get(id) ?? []).map(({ rule }) => rule.name);
  return names.length > 0 ? `alert: ${[...new Set(names)].join(", ")}` : "";
}

/**
 * Show how many alerts there are. The button leads to their list.
 * @param {HTMLElement} badge
 * @param {MapModel} map
 * @param {() => void} showList
 */
export function updateBadge(badge, map, showList) {
  const { count, firing } = map.alerts;
  const severity = firing[0]?.rule.severity ?? "";
  const text = count > 0 ? formatQuantity(count, "alert") : "";
  if (badge.textContent === text && badge.dataset.severity === severity) return;
  badge.dataset.severity = severity;
  const button = badge.querySelector("button");
  if (button && text) setText(button, text);
  else replaceContent(badge, text !== "" && createHtml("button", { type: "button", click: showList }, text));
}

/**
 * Create the list of alerts for the overview.
 * @param {MapModel} map
 * @param {PanelActions} actions
 */
export function createAlertsSection(map, actions) {
  const { firing, count, unknown } = map.alerts;
  const rows = firing.slice(0, MAX_ROWS).map((each) => createAlertRow(each, map, actions));
  const left = count - rows.length;
  const unknownRules = unknown.slice(0, MAX_ROWS);
  const hints = unknownRules.map(({ name, problem }) => createHint(`Rule “${name}” is unknown: ${problem}.`));
  const more = left > 0 && createHint(`And ${formatQuantity(left, "more alert")}.`);
  return createSection(
    "Alerts",
    rows,
    more,
    hints,
    map.isPast ? null : createRulesButton(map.alerts.ruleCount, actions),
  );
}

/**
 * @param {number} count
 * @param {PanelActions} actions
 */
function createRulesButton(count, actions) {
  const text = count ? formatQuantity(count, "rule") : "Add a rule";
  return createHtml("button", { type: "button", class: "rules", "data-key": "rules", click: actions.openRules }, text);
}

/** @param {Pick<Alert, "since" | "or_earlier">} alert */
export function describeSince({ since, or_earlier: orEarlier }) {
  return `since ${formatSince(since)}${orEarlier ? " or earlier" : ""}`;
}

/**
 * @param {FiringAlert} firing
 * @param {MapModel} map
 * @param {PanelActions} actions
 */
function createAlertRow({ rule, alert }, map, actions) {
  const edge = alert.edges.find((id) => map.edges.has(id));
  const node = alert.nodes.find((id) => map.nodes.has(id));
  const about = joinTexts(" · ", [rule.severity, rule.name, describeSince(alert)]);
  return createHtml(
    "button",
    {
      type: "button",
      class: "hop alert",
      "data-severity": rule.severity,
      "data-key": `alert ${rule.name} ${alert.place}`,
      disabled: !edge && !node,
      click: () => actions.select(edge ? { edge } : { node: node ?? "" }),
    },
    createHtml("span", { class: "what" }, alert.text),
    createHtml("span", { class: "more" }, about),
  );
}
