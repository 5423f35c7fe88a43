// The details of a business transaction: the checkpoints that it passed, and the transactions that are late.

import { fetchTransactions } from "./api.js";
import { createFigures, createHint, createHtml, createSection, createWarning } from "./dom.js";
import { formatDuration, formatMoment, joinTexts } from "./format.js";
import { cleanName, createName } from "./names.js";

/** @import { Transaction, Transactions, TransactionStep } from "./api_types.d.ts" */
/** @import { Child } from "./dom.js" */
/** @import { MapModel } from "./map_model.js" */
/** @import { PanelActions } from "./panel.js" */

const MAX_LISTED = 8;
const WITH_SECONDS = { withSeconds: true };
// The overview is shown anew each second; which transactions are late, changes slowly.
const LATE_INTERVAL_MS = 10_000;

/** @type {{ requestedAt: number, answer: Promise<Transactions> }} */
let overview = { requestedAt: Number.NEGATIVE_INFINITY, answer: Promise.resolve({ transactions: [], late: [] }) };

/**
 * Create the list of late transactions for the overview; false if there are none.
 * @param {MapModel} map
 * @param {PanelActions} actions
 */
export async function createLateSection(map, actions) {
  const now = performance.now();
  if (now - overview.requestedAt >= LATE_INTERVAL_MS) {
    // The map says that the agent does not answer.
    const answer = fetchTransactions({}).catch(() => ({ transactions: [], late: [] }));
    overview = { requestedAt: now, answer };
  }
  const { late, longest, cut } = await overview.answer;
  return createTransactionList("Late transactions", late, late.length + (cut?.late ?? 0), map, actions, longest);
}

/**
 * @param {string} id
 * @param {MapModel} map
 * @param {PanelActions} actions
 * @returns {Promise<Child[]>}
 */
export async function createTransactionDetails(id, map, actions) {
  const [{ transactions }, all] = await Promise.all([fetchTransactions({ id }), fetchTransactions({})]);
  const [found] = transactions;
  actions.highlightPathwaysThrough(id, listEdgesBetween(found?.steps ?? [], map));
  const late = all.late.filter((each) => each.id !== id);
  const longest = all.longest?.filter((each) => each.id !== id);
  const isLate = found?.state === "late" || found?.state === "stuck";
  const lateCount = all.late.length + (all.cut?.late ?? 0) - (isLate ? 1 : 0);
  const latestCount = all.transactions.length + (all.cut?.transactions ?? 0);
  return [
    ...(found ? createFound(found, map, actions) : [createHint("The agent knows no transaction with this id.")]),
    createTransactionList(isLate ? "Also late" : "Late transactions", late, lateCount, map, actions, longest),
    !found && createTransactionList("Latest transactions", all.transactions, latestCount, map, actions),
  ];
}

/**
 * @param {Transaction} transaction
 * @param {MapModel} map
 * @param {PanelActions} actions
 */
function createFound(transaction, map, actions) {
  const { first, last, state, steps } = transaction;
  const warning = describeLateness(transaction, map.to);
  return [
    warning && createWarning(warning),
    createFigures(
      ["state", state],
      [state === "done" ? "end to end" : "so far", formatDuration(steps.length > 1 ? last - first : null)],
      ["first seen", formatMoment(first, map.to, WITH_SECONDS)],
      ["last seen", formatMoment(last, map.to, WITH_SECONDS)],
    ),
    createSection("Checkpoints", createStepTable(steps, map, actions)),
  ];
}

/**
 * Say how long a transaction waits, if that is longer than usual.
 * @param {Omit<Transaction, "id" | "env" | "first" | "steps">} transaction
 * @param {number} now Seconds since the epoch.
 * @returns {string | null}
 */
export function describeLateness({ state, last, usual_wait, late_after, lacks = [], checkpoint, service }, now) {
  if (state !== "late" && state !== "stuck") return null;
  const waits = formatDuration(Math.max(0, now - last));
  const seen = `${state === "late" ? "Late" : "Stuck"}: last seen at ${checkpoint} in ${service}, ${waits} ago.`;
  const usual = `Of those that went on from there, 95 % took at most ${formatDuration(usual_wait)}`;
  const lacking = lacks.map((each) => `${cleanName(each.checkpoint)} in ${cleanName(each.service)}`).join(", ");
  return `${seen} ${usual}; one is late after ${formatDuration(late_after)}.${lacking && ` It lacks ${lacking}.`}`;
}

/**
 * @param {TransactionStep[]} steps
 * @param {MapModel} map
 * @param {PanelActions} actions
 */
function createStepTable(steps, map, actions) {
  const head = ["Checkpoint", "Service", "Time", "Since the one before"].map((name) => createHtml("th", {}, name));
  const rows = steps.map((step) =>
    createHtml(
      "tr",
      {},
      createHtml("td", {}, createName(step.checkpoint)),
      createHtml("td", {}, createServiceButton(step, map, actions)),
      createHtml("td", {}, formatMoment(step.time, map.to, WITH_SECONDS)),
      createHtml("td", {}, formatDuration(step.since_before)),
    ),
  );
  return createHtml("table", {}, createHtml("thead", {}, createHtml("tr", {}, ...head)), createHtml("tbody", {}, rows));
}

/**
 * Create a button that selects the service of a step; only its name if the service is not on the map.
 * @param {TransactionStep} step
 * @param {MapModel} map
 * @param {PanelActions} actions
 */
function createServiceButton({ service, env }, map, actions) {
  const isPassed = isServiceAmong([{ service, env }]);
  const node = [...map.nodes.values()].find((each) => each.kind === "service" && isPassed(each.name, each.where));
  if (!node) return createName(joinTexts(" · ", [service, env]));
  return createHtml(
    "button",
    { type: "button", class: "name", "data-key": `step ${node.id}`, click: () => actions.select({ node: node.id }) },
    createName(node.label),
  );
}

/**
 * Say how many of a list's transactions are shown; with no more than those, only how many there are.
 * @param {string} title
 * @param {number} shown
 * @param {number} count
 */
export function describeListed(title, shown, count) {
  const listed = count > shown ? `the latest ${shown} of ${count.toLocaleString("en-US")}` : `${shown}`;
  return `${title}: ${listed}`;
}

/**
 * @param {string} title
 * @param {Transaction[]} transactions
 * @param {number} count How many there are, also those that the agent does not list.
 * @param {MapModel} map
 * @param {PanelActions} actions
 * @param {Transaction[]} [longest] Those that wait longest; they follow where not all are listed.
 */
function createTransactionList(title, transactions, count, map, actions, longest = []) {
  const listed = transactions.slice(0, MAX_LISTED);
  const ids = new Set(listed.map(({ id }) => id));
  const oldest = longest.filter(({ id }) => !ids.has(id));
  return (
    listed.length > 0 &&
    createSection(
      describeListed(title, listed.length, count),
      listed.map((each) => createTransactionButton(each, map, actions)),
      oldest.length > 0 && createHint(`Late for longest: ${oldest.length}`),
      oldest.map((each) => createTransactionButton(each, map, actions)),
    )
  );
}

/**
 * @param {Transaction} transaction
 * @param {MapModel} map
 * @param {PanelActions} actions
 */
function createTransactionButton(transaction, map, actions) {
  const { id, state } = transaction;
  return createHtml(
    "button",
    { type: "button", class: "hop", "data-key": `transaction ${id}`, click: () => actions.select({ transaction: id }) },
    createHtml("span", { class: "what" }, createName(id)),
    createHtml("span", { class: "long" }, state),
    createHtml("span", { class: "more" }, describePlace(transaction, map.to)),
  );
}

/**
 * @param {Transaction} transaction
 * @param {number} now Seconds since the epoch.
 */
function describePlace({ checkpoint, service, last }, now) {
  return `${cleanName(checkpoint)} in ${cleanName(service)} · ${formatMoment(last, now, WITH_SECONDS)}`;
}

/**
 * Return the ids of the edges that lead from one service that a transaction passed to another one; if there are none,
 * of all edges of these services.
 * @param {Pick<TransactionStep, "service" | "env">[]} steps
 * @param {Pick<MapModel, "edges" | "links">} map
 * @returns {Set<string>}
 */
export function listEdgesBetween(steps, map) {
  const isPassed = isServiceAmong(steps);
  const passed = [...map.links.values()].filter(({ edge }) => edge && isPassed(edge.service, edge.env));
  const written = new Set(passed.filter(({ edge }) => edge?.direction === "out").map(({ to }) => to));
  const read = new Set(passed.filter(({ edge }) => edge?.direction === "in").map(({ from }) => from));
  const isBetween = (/** @type {string} */ queue) => written.has(queue) && read.has(queue);
  const between = passed.filter(({ from, to }) => isBetween(from) || isBetween(to));
  return new Set((between.length > 0 ? between : passed).map(({ id }) => id));
}

/**
 * @param {Pick<TransactionStep, "service" | "env">[]} steps
 * @returns {(service: string, env: string) => boolean}
 */
function isServiceAmong(steps) {
  return (service, env) => steps.some((step) => step.service === service && step.env === env);
}
