// What the page shows if nothing is selected: what changed, what is wrong, and where the time goes; or first steps,
// before any data.

import { createAlertsSection } from "./alerts.js";
import { ChangesSource, createChangesSection } from "./changes.js";
import { createHint, createHtml, createSection, createWarning } from "./dom.js";
import { describeLastMinute, formatDuration, formatQuantity } from "./format.js";
import { createHopButton } from "./hops.js";
import { listWarnings } from "./map_model.js";
import { createName } from "./names.js";

/** @import { RangeQuery } from "./api.js" */
/** @import { Changes, Edge, Present, UsualLatency } from "./api_types.d.ts" */
/** @import { Child } from "./dom.js" */
/** @import { LinkedNode, MapModel } from "./map_model.js" */
/** @import { PanelActions } from "./panel.js" */

const MAX_ROWS = 8;

const changesSource = new ChangesSource();

/**
 * @param {MapModel} map
 * @param {RangeQuery} range
 * @param {PanelActions} actions
 * @returns {Promise<Child[]>}
 * @throws {AgentError} If the agent does not answer.
 */
export async function createOverview(map, range, actions) {
  const alerts = createAlertsSection(map, actions);
  const heading = createHtml("h2", { class: "unseen" }, "Overview");
  if (!map.services.length && map.oldest === null) return [heading, alerts];
  const changes = await changesSource.fetch(range);
  const isAlarmed = map.alerts.count > 0 || map.alerts.unknown.length > 0;
  return [
    heading,
    isAlarmed && alerts,
    createChangesSection(changes, map, actions),
    createWarningsSection(map, actions),
    createSlowestSection(map, changes, actions),
    !isAlarmed && alerts,
    createHint(describeSize(map)),
  ];
}

/**
 * @param {MapModel} map
 * @param {Changes} changes
 * @param {PanelActions} actions
 */
function createSlowestSection(map, { usual }, actions) {
  const busy = [...map.edges.values()].filter((edge) => edge.present.state !== "idle");
  const slowest = busy.sort((one, other) => other.present.slowness - one.present.slowness).slice(0, MAX_ROWS);
  const most = slowest[0]?.present.slowness ?? 0;
  const when = describeLastMinute(map);
  const usualOf = new Map(usual.map((each) => [each.edge, each]));
  return createSection(
    "Where the time goes",
    createHint(
      `The slowest hops of the ${when}, by their median, or by a tenth of p99 if that is more. ` +
        "Select a service or a queue to see complete pathways.",
    ),
    slowest.length > 0
      ? slowest.map((edge) => createComparedHop(edge, most, usualOf.get(edge.id), map, actions))
      : createHint(`No messages in the ${when}.`),
  );
}

/**
 * Create the button of a hop, with what it is like now beside what it is like usually.
 * @param {Edge} edge
 * @param {number} slowest
 * @param {UsualLatency | undefined} usual
 * @param {MapModel} map
 * @param {PanelActions} actions
 */
function createComparedHop(edge, slowest, usual, map, actions) {
  const button = createHopButton(edge, slowest, map, actions);
  const texts = [describeTail(edge.present), usual ? describeUsual(edge.present, usual, map) : ""];
  for (const text of texts.filter(Boolean))
    button.querySelector(".more:not(.usual)")?.before(createHtml("span", { class: "more usual" }, text));
  return button;
}

/**
 * Say by which number a hop is sorted, if that is not its median.
 * @param {Pick<Present, "edge_latency" | "slowness">} present
 */
export function describeTail({ edge_latency: { p50, p99 }, slowness }) {
  if (p50 === null || p99 === null || slowness <= p50) return "";
  return `${formatDuration(slowness)} is a tenth of p99`;
}

/**
 * @param {Present} present
 * @param {UsualLatency} usual
 * @param {{ isPast: boolean }} map
 */
export function describeUsual({ edge_latency: latency }, usual, { isPast }) {
  if (latency.p50 === null) return ""; // pathways begin here
  return `${isPast ? "then" : "now"} ${formatDuration(latency.p50)}, usual ${formatDuration(usual.p50)}`;
}

/**
 * @param {MapModel} map
 * @param {PanelActions} actions
 */
function createWarningsSection(map, actions) {
  const warned = [...map.nodes.values()].filter((node) => listWarnings(node, map).length > 0);
  const rows = warned.slice(0, MAX_ROWS).map((node) => createWarningRow(node, map, actions));
  return rows.length > 0 && createSection("Needs attention", rows);
}

/**
 * @param {LinkedNode} node
 * @param {MapModel} map
 * @param {PanelActions} actions
 */
function createWarningRow(node, map, actions) {
  const button = createHtml(
    "button",
    { type: "button", class: "name", "data-key": `wrong ${node.id}`, click: () => actions.select({ node: node.id }) },
    createName(node.label),
  );
  return createHtml("div", { class: "warned-node" }, button, listWarnings(node, map).map(createWarning));
}

/** @param {Pick<MapModel, "services" | "queueCount" | "edges" | "leftOut">} map */
export function describeSize({ services, queueCount, edges, leftOut }) {
  const things = [
    formatQuantity(services.length, "service"),
    formatQuantity(queueCount, "queue"),
    formatQuantity(edges.size, "hop"),
  ];
  const hidden = `${formatQuantity(leftOut, "hop")} with fewer messages ${leftOut === 1 ? "is" : "are"} not drawn.`;
  return `${things.join(", ")}.${leftOut ? ` ${hidden}` : ""}`;
}

/**
 * Say why there is nothing to draw in a range.
 * @param {Pick<MapModel, "from" | "isPast">} map
 * @param {number} now Seconds since the epoch.
 */
export function describeEmptyRange({ from, isPast }, now) {
  if (isPast && from > now) return "This range is in the future. Nothing can have been reported of it yet.";
  if (isPast) return "There were no messages in this range. Choose another one, or go back to now.";
  return "There were no messages in this range. Choose a longer one.";
}

/** @param {string} reason */
export function createEmptyRange(reason) {
  return createHtml("div", { class: "card" }, createHtml("h2", {}, "No messages"), createHtml("p", {}, reason));
}

/** Create what is shown instead of the map as long as no service has reported anything. */
export function createFirstSteps() {
  const command = `DD_SERVICE=shop DD_TRACE_AGENT_URL=${location.origin} asyncdsm run python shop.py`;
  const code = "async with asyncdsm.DataStreams():\n    client = asyncdsm.wrap(client)";
  return createHtml(
    "div",
    { class: "card" },
    createHtml("h2", {}, "No messages yet"),
    createHtml(
      "p",
      {},
      "The agent is running, but no service has reported anything so far. The map appears with the first report.",
    ),
    createStep("Start the demo, which has a map of its own:", "asyncdsm demo"),
    createStep("Or run your program, without changing its code:", command),
    createStep("Or wrap a client in your code:", code),
    createHint(
      "Services that use one of Datadog's own tracers appear here too. " +
        `Set DD_DATA_STREAMS_ENABLED=true and DD_TRACE_AGENT_URL=${location.origin} for them. ` +
        "Each service reports every ten seconds.",
    ),
  );
}

/**
 * @param {string} title
 * @param {string} code
 */
function createStep(title, code) {
  return createHtml("div", { class: "step" }, createHtml("p", {}, title), createHtml("pre", { tabindex: 0 }, code));
}
