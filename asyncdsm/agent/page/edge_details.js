// An edge: how long the hop takes, and the whole way up to here; how many messages, and how large.

import { ask } from "./agent.js";
import { lineChart } from "./chart.js";
import { html } from "./dom.js";
import { bytes, count, duration, percent, presentText, rate } from "./format.js";
import { bdi, namesOf } from "./names.js";
import { figures, section, warning } from "./parts.js";

const CLAMPED = 0.1;
const QUANTILES = [
  ["p50", 0],
  ["p95", 1],
  ["p99", 2],
];

export async function edgeDetails(link, map, range) {
  const edge = link.about;
  const series = await ask("/api/series", { edge: edge.id, ...range });
  const at = { from: map.from, to: map.to, step: series.step };
  const chart = (title, of, format) => lineChart({ title, lines: quantiles(series.points, of), format, ...at });
  const rates = [{ name: "messages", shade: 0, points: series.points.map((point) => [point.start, point.rate]) }];
  return [
    html("p", { class: "muted" }, meaning(edge, map)),
    html("p", { class: `now warm-${edge.present.level}` }, html("b", {}, "Now: "), now(edge.present)),
    figures(
      ["p50", duration(edge.edge_latency.p50)],
      ["p95", duration(edge.edge_latency.p95)],
      ["p99", duration(edge.edge_latency.p99)],
      ["longest", duration(edge.edge_latency.max)],
    ),
    figures(
      ["rate", rate(edge.rate)],
      ["messages", count(edge.count)],
      ["size p50", bytes(edge.payload_size.p50)],
      ["behind", count(edge.lag)],
    ),
    edge.clamped > CLAMPED &&
      warning(`${percent(edge.clamped)} of these latencies are exactly 0: clocks of the two hosts disagree.`),
    section(
      "Over time",
      chart("This hop", "edge_latency", duration),
      chart("The whole way up to here", "pathway_latency", duration),
      lineChart({ title: "Messages a second", lines: rates, format: rate, ...at }),
    ),
    edge.payload_size.p50 !== null && section("Size of a message", chart("Payload", "payload_size", bytes)),
  ].filter(Boolean);
}

function quantiles(points, of) {
  return QUANTILES.map(([name, shade]) => ({
    name,
    shade,
    points: points.map((point) => [point.start, point[of][name]]),
  }));
}

// The last minute, which the figures of the whole range may hide.
function now(present) {
  const before = present.before === null ? "" : ` (${duration(present.before)} before)`;
  return `${presentText(present)}${before}`;
}

function meaning(edge, map) {
  const service = bdi(namesOf(edge, map).service);
  return edge.direction === "in"
    ? ["From when a message was sent until ", service, " had it: the way through the broker, and the wait to be read."]
    : ["From when ", service, " had a message, or began, until it wrote the next: the work that is done there."];
}
