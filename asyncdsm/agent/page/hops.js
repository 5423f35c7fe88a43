// Lists of hops: single hops as buttons, and whole pathways with the share of each of their hops.

import { createBar, createHint, createHtml } from "./dom.js";
import { describeChange, formatCount, formatDuration, formatRate, joinTexts, joinUnit } from "./format.js";
import { createHopName, formatHop } from "./hop_names.js";
import { formatLag } from "./lag.js";

/** @import { Edge, Hop, WholePathway } from "./api_types.d.ts" */
/** @import { MapModel } from "./map_model.js" */
/** @import { PanelActions } from "./panel.js" */

const MAX_PATHWAYS = 30;
// Two quantiles that differ by less may be equal.
const ACCURACY = 1.02;

/**
 * Create a button that selects a hop: its two ends, what it is like now, and a bar.
 * @param {Edge} edge
 * @param {number} slowest The slowness of which the bar shows the hop's share, in seconds; 0 for no bar.
 * @param {MapModel} map
 * @param {PanelActions} actions
 */
export function createHopButton(edge, slowest, map, actions) {
  const { present } = edge;
  return createHtml(
    "button",
    {
      type: "button",
      class: `hop warm-${present.level} ${present.state}`,
      "data-key": `hop ${edge.id}`,
      click: () => actions.select({ edge: edge.id }),
    },
    createHtml("span", { class: "what" }, createHopName(edge, map)),
    createHtml("span", { class: "long" }, present.label),
    createHtml("span", { class: "more" }, describeHop(edge)),
    createBar(slowest > 0 ? present.slowness / slowest : 0),
  );
}

/** @param {Edge} edge */
export function describeHop(edge) {
  const { direction, present } = edge;
  const { p99 } = present.edge_latency;
  return joinTexts(" · ", [
    timePlace({ direction }),
    formatRate(present.rate),
    p99 !== null && `p99 ${formatDuration(p99)}`,
    describeChange(present),
    edge.lag ? joinTexts(", ", [`lag ${formatLag(edge)}`, edge.lag_trend !== "steady" && edge.lag_trend]) : "",
  ]);
}

/**
 * Say where the time of a hop is spent; empty if that is unknown.
 * @param {Pick<Edge | Hop, "direction">} hop
 */
export function timePlace({ direction }) {
  return { in: "in queue", out: "in service" }[direction] ?? "";
}

/**
 * @param {WholePathway[]} pathways The slowest first.
 * @param {MapModel} map
 * @param {PanelActions} actions
 */
export function createPathwayList(pathways, map, actions) {
  if (!pathways.length) return [createHint("No complete pathway in the selected time range.")];
  const items = pathways.slice(0, MAX_PATHWAYS).map((pathway) => createPathwayItem(pathway, map, actions));
  const more = pathways.length - MAX_PATHWAYS;
  return [
    createHint("Of each hop, the mean and its share of all means of the pathway: these add up, as medians do not."),
    createHtml("ol", { class: "pathways" }, items),
    more > 0 && createHint(`${more} faster ${more === 1 ? "pathway is" : "pathways are"} not shown.`),
  ];
}

/**
 * @param {WholePathway} pathway
 * @param {MapModel} map
 * @param {PanelActions} actions
 */
function createPathwayItem(pathway, map, actions) {
  const highlight = () => actions.highlightPathway(new Set(pathway.hops.map((hop) => hop.edge)));
  const restore = () => actions.highlightPathway(null);
  const largest = Math.max(...pathway.hops.map((hop) => hop.share));
  const largestIndex = pathway.hops.findIndex((hop) => hop.share === largest);
  const shares = formatShares(pathway.hops.map((hop) => hop.share));
  const steps = pathway.hops.map((hop, index) => {
    const [key, share] = [`${pathway.hash} ${index}`, shares[index] ?? ""];
    return createStepButton(hop, { key, share, isLargest: index === largestIndex }, map, actions);
  });
  return createHtml(
    "li",
    { pointerenter: highlight, pointerleave: restore, focusin: highlight, focusout: restore },
    createPathwaySummary(pathway),
    explainSlowHop(pathway, map),
    createHtml("div", { class: "hops" }, steps),
  );
}

/**
 * Explain why a hop takes longer than all of its pathway; null if none does. Figures are accurate within 0.8 %.
 * @param {WholePathway} pathway
 * @param {Pick<MapModel, "edges">} map
 */
function explainSlowHop({ hops, count, end_to_end: { p50: whole } }, map) {
  const slow = hops.find(({ edge_latency: { p50 } }) => p50 !== null && whole !== null && p50 > whole * ACCURACY);
  if (!slow) return null;
  return createHint(describeSlowHop(slow, count, map.edges.get(slow.edge)?.clocks_disagree ?? false));
}

/**
 * @param {Pick<Hop, "edge_latency" | "count">} hop
 * @param {number} arrived How many messages came to the end of the pathway.
 * @param {boolean} clocksDisagree
 */
export function describeSlowHop({ edge_latency: { p50 }, count }, arrived, clocksDisagree) {
  const slow = `A hop with a median of ${formatDuration(p50)} is slower than end to end`;
  if (count > arrived * ACCURACY) {
    const messages = `the ${formatCount(arrived)} of its ${formatCount(count)} messages that came to the end`;
    return `${slow}, which counts only ${messages}.`;
  }
  if (clocksDisagree) return `${slow}: the clocks of its hosts disagree.`;
  return `${slow}: they are not of the same messages, since some were on their way when the range began or ended.`;
}

/** @param {WholePathway} pathway */
function createPathwaySummary({ end_to_end: latency, rate }) {
  const median = createHtml("b", {}, formatDuration(latency.p50));
  const others = ` end to end, median · p99 ${formatDuration(latency.p99)} · ${formatRate(rate)}`;
  return createHtml("p", { class: "whole" }, median, others);
}

/**
 * Format shares in whole percent, which add up to 100: those with the largest fractions are rounded up.
 * @param {number[]} shares From 0 to 1; they add up to 1, or all are 0.
 */
export function formatShares(shares) {
  const percents = shares.map((share) => Math.floor(share * 100));
  const total = Math.round(100 * shares.reduce((sum, share) => sum + share, 0));
  const missing = total - percents.reduce((sum, percent) => sum + percent, 0);
  const fraction = (/** @type {number} */ index) => 100 * (shares[index] ?? 0) - (percents[index] ?? 0);
  const byFraction = [...shares.keys()].sort((one, other) => fraction(other) - fraction(one));
  const roundedUp = new Set(byFraction.slice(0, missing));
  return shares.map((share, index) => {
    const percent = (percents[index] ?? 0) + Number(roundedUp.has(index));
    return joinUnit(share > 0 && percent === 0 ? "<1" : percent, "%");
  });
}

/**
 * Create a button for one hop of a pathway.
 * @param {Hop} hop
 * @param {{ key: string, share: string, isLargest: boolean }} step What tells this button from all others, the hop's
 *   share of the pathway's time, and whether no other hop of the pathway takes more.
 * @param {MapModel} map
 * @param {PanelActions} actions
 */
function createStepButton(hop, { key, share, isLargest }, map, actions) {
  const mean = formatDuration(hop.mean);
  const time = `${share} of the total time, mean ${mean} ${timePlace(hop)}`;
  return createHtml(
    "button",
    {
      type: "button",
      class: `hop warm-${hop.level}${isLargest ? " largest" : ""}`,
      disabled: !map.edges.has(hop.edge),
      "data-key": `pathway ${key}`,
      "aria-label": `${formatHop(hop, map)}: ${time}`,
      title: `Time ${timePlace(hop)}`,
      click: () => actions.select({ edge: hop.edge }),
    },
    createHtml("span", { class: "what" }, createHopName(hop, map)),
    createHtml("span", { class: "long" }, share),
    createHtml("span", { class: "more" }, mean),
    createBar(hop.share),
  );
}
