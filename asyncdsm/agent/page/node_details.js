// A service or a queue: what goes in and out, how far its readers are behind, and the pathways through it.

import { ask } from "./agent.js";
import { lineChart } from "./chart.js";
import { html } from "./dom.js";
import { count } from "./format.js";
import { slowness, warnings } from "./model.js";
import { bdi, plain } from "./names.js";
import { hopRow, section, warning } from "./parts.js";
import { pathwayList } from "./pathways.js";

const MOST_TOPICS = 6;
const MOST_LINES = 8;
const KAFKA = "kafka";

export async function nodeDetails(node, map, range, act) {
  const [lags, { pathways }] = await Promise.all([lagOf(node, range, map), pathwaysOf(node, range)]);
  act.through(node.id, new Set(pathways.flatMap((pathway) => pathway.hops.map((hop) => hop.edge))));
  const hops = [...node.incoming, ...node.outgoing].map((link) => link.about).filter(Boolean);
  const slowest = Math.max(0, ...hops.map(slowness));
  const rows = (links) => links.filter((link) => link.about).map((link) => hopRow(link.about, slowest, map, act));
  const [incoming, outgoing] = [rows(node.incoming), rows(node.outgoing)];
  return [
    ...warnings(node, map).map(warning),
    section("Pathways, slowest first", pathwayList(pathways, map, act)),
    incoming.length && section(node.kind === "service" ? "Reads" : "Written by", incoming),
    outgoing.length && section(node.kind === "service" ? "Writes" : "Read by", outgoing),
    lags.length && section("Behind", lagChart(lags, map), lagTable(lags)),
  ].filter(Boolean);
}

function pathwaysOf(node, range) {
  if (node.kind === "service") return ask("/api/pathways", { service: node.name, env: node.where, ...range });
  return node.name
    ? ask("/api/pathways", { type: node.where, queue: node.name, ...clusterOf(node), ...range })
    : { pathways: [] };
}

// Which of the queues of one name in several clusters is meant; all that have the name where there is only one.
const clusterOf = (node) => (node.qualifier ? { cluster: node.cluster ?? "" } : {});

// A topic of Kafka has its own lag; a service that of the topics that it reads, with its groups.
async function lagOf(node, range, map) {
  const topics =
    node.kind === "queue"
      ? [{ queue: node }]
      : node.incoming
          .filter((link) => link.about?.group)
          .map((link) => ({ queue: map.nodes.get(link.from), group: link.about.group }));
  const reads = topics
    .filter(({ queue }) => queue.where === KAFKA)
    .map(({ queue, group }) => ({ topic: queue.name, group, ...clusterOf(queue) }));
  const wanted = [...new Map(reads.map((read) => [JSON.stringify(read), read])).values()]
    .filter((read) => read.topic)
    .slice(0, MOST_TOPICS);
  const answers = await Promise.all(wanted.map((read) => ask("/api/lag", { ...read, ...range })));
  return answers.flatMap((answer) => answer.series);
}

function lagChart(lags, map) {
  const worst = [...lags].sort((one, other) => last(other) - last(one)).slice(0, MOST_LINES);
  const lines = worst.map((each, shade) => ({
    name: nameOf(each),
    shade: shade % 3,
    points: each.points.map((point) => [point.start, point.behind]),
  }));
  return lineChart({ title: "Messages behind", lines, format: count, from: map.from, to: map.to, step: stepOf(lags) });
}

function lagTable(lags) {
  const row = (each) =>
    html(
      "tr",
      {},
      html("td", {}, bdi(plain(each.group))),
      html("td", {}, bdi(plain(each.topic))),
      html("td", {}, plain(each.partition)),
      html("td", {}, count(last(each))),
    );
  const head = html(
    "tr",
    {},
    ["group", "topic", "partition", "behind"].map((name) => html("th", { scope: "col" }, name)),
  );
  return html("table", {}, html("thead", {}, head), html("tbody", {}, lags.map(row)));
}

const last = (each) => each.points.at(-1)?.behind ?? 0;
const nameOf = (each) => `${plain(each.group)} ${plain(each.partition)}`;

function stepOf(lags) {
  const gaps = lags.flatMap(({ points }) => points.slice(1).map((point, at) => point.start - points[at].start));
  return gaps.length ? 2 * Math.min(...gaps) : 60;
}
