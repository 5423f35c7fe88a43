import assert from "node:assert/strict";
import { test } from "node:test";
import { formatSince } from "../../asyncdsm/agent/page/format.js";
import { findHighlighted } from "../../asyncdsm/agent/page/graph.js";
import { formatCurve, labelTexts } from "../../asyncdsm/agent/page/graph_link.js";
import { describeNode } from "../../asyncdsm/agent/page/graph_node.js";
import { buildMapModel } from "../../asyncdsm/agent/page/map_model.js";
import { makeEdge, makeMap, makePresent } from "./fixtures.js";

process.env.TZ = "UTC";
const MAP = buildMapModel(makeMap());

/** @param {import("../../asyncdsm/agent/page/graph.js").Highlight} highlight */
function highlighted(highlight) {
  const { links, nodes } = findHighlighted(highlight, MAP);
  return { links: [...links], nodes: [...nodes].sort() };
}

/** @param {string} id */
function nodeOf(id) {
  const node = MAP.nodes.get(id);
  assert.ok(node);
  return node;
}

test("without a selection nothing is highlighted", () => {
  assert.deepEqual(highlighted({}), { links: [], nodes: [] });
});

test("a selected node is highlighted with its links and its neighbors", () => {
  assert.deepEqual(highlighted({ node: "shop" }), { links: ["e1"], nodes: ["orders", "shop"] });
  assert.deepEqual(highlighted({ node: "orders" }).links, ["e1", "e2", "orders-archive"]);
});

test("a selected hop is highlighted with its two ends", () => {
  assert.deepEqual(highlighted({ edge: "e2" }), { links: ["e2"], nodes: ["billing", "orders"] });
});

test("a selected node is highlighted with all pathways through it", () => {
  const through = new Set(["e1", "e2"]);
  assert.deepEqual(highlighted({ node: "shop", through }), {
    links: ["e1", "e2"],
    nodes: ["billing", "orders", "shop"],
  });
});

test("a pathway under the pointer takes the place of the selection", () => {
  assert.deepEqual(highlighted({ node: "billing", pathway: new Set(["e1"]) }).links, ["e1"]);
});

test("a link on which the broker forwards is highlighted between two hops of a pathway", () => {
  const answer = makeMap();
  const [first] = answer.links;
  assert.ok(first);
  answer.links.push({ ...first, edge: "e3", from: "archive", to: "billing" });
  const map = buildMapModel(answer);
  assert.deepEqual([...findHighlighted({ pathway: new Set(["e1", "e3"]) }, map).links], ["e1", "e3", "orders-archive"]);
});

test("a curve is parallel to the flow at each of its points", () => {
  assert.equal(
    formatCurve(
      [
        [0, 0],
        [100, 50],
      ],
      "right",
    ),
    "M0 0C50 0 50 50 100 50",
  );
  assert.equal(
    formatCurve(
      [
        [0, 0],
        [100, 50],
      ],
      "down",
    ),
    "M0 0C0 25 100 25 100 50",
  );
  assert.equal(
    formatCurve(
      [
        [0, 0],
        [10, 0],
        [20, 0],
      ],
      "right",
    ).match(/C/g)?.length,
    2,
  );
});

test("a label of a steady hop has one line", () => {
  assert.deepEqual(labelTexts(makePresent()), ["5 ms", "", ""]);
});

test("a label of a hop that changed says since when", () => {
  const present = makePresent({ tail: "30 s", state: "slower", since: new Date().setHours(1, 0, 0, 0) / 1000 });
  assert.deepEqual(labelTexts(present), ["5 ms", "p99 30 s", "▲ 01:00"]);
  assert.equal(labelTexts({ ...present, state: "idle" })[2], "since 01:00");
});

test("a label says the day alone if a hop changed before today", () => {
  const since = new Date().setDate(new Date().getDate() - 3) / 1000;
  const day = formatSince(since).split(", ").slice(0, -1).join(", ");
  assert.match(day, /^\S+ \S+/);
  assert.equal(labelTexts(makePresent({ state: "idle", since }))[2], `since ${day}`);
});

test("a service that is quiet says since when, instead of what it reads and writes", () => {
  assert.match(describeNode({ ...nodeOf("shop"), quiet_since: Date.now() / 1000 }, false), /^quiet since \d\d:\d\d$/);
});

test("a service is described by what it reads and writes", () => {
  assert.equal(describeNode(nodeOf("shop"), false), "2/s out");
  assert.equal(describeNode(nodeOf("billing"), true), "⚠ 2/s in");
  assert.equal(describeNode({ ...nodeOf("shop"), qualifier: "eu", outgoing: [] }, false), "eu · idle");
});

test("a queue has the lag of each group once, and of all groups", () => {
  const [link] = nodeOf("orders").outgoing;
  assert.ok(link);
  const links = [2, null].map((lag) => ({ ...link, edge: makeEdge({ direction: "in", group: "archive", lag }) }));
  const outgoing = [link, link, ...links];
  assert.equal(describeNode({ ...nodeOf("orders"), outgoing }, false), "kafka, lag 9");
});

test("a queue with old messages has their age in the place of its broker", () => {
  const [link] = nodeOf("orders").outgoing;
  assert.ok(link);
  const outgoing = [5, 185].map((seconds) => ({
    ...link,
    edge: makeEdge({ direction: "in", group: `g${seconds}`, lag: 620, lag_seconds: seconds }),
  }));
  assert.equal(describeNode({ ...nodeOf("orders"), outgoing }, false), "lag 1.24\u00A0k, 3\u00A0min");
  assert.equal(describeNode({ ...nodeOf("orders"), outgoing: outgoing.slice(0, 1) }, false), "kafka, lag 620");
});

test("a queue that only fills is marked", () => {
  const queue = { type: "kafka", name: "archive", cluster: null, unread: true };
  assert.equal(describeNode({ ...nodeOf("archive"), queue }, true), "⚠ kafka, not read");
});

test("a queue is described by its broker and the lag of its readers", () => {
  assert.equal(describeNode(nodeOf("orders"), false), "kafka, lag 7");
  assert.equal(describeNode({ ...nodeOf("orders"), qualifier: "kafka, eu" }, false), "eu, lag 7");
  assert.equal(describeNode(nodeOf("archive"), false), "kafka");
});
