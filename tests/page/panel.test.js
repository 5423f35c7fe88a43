import assert from "node:assert/strict";
import { test } from "node:test";
import { describeHop, describeSlowHop, formatShares } from "../../asyncdsm/agent/page/hops.js";
import { buildMapModel } from "../../asyncdsm/agent/page/map_model.js";
import { listReads } from "../../asyncdsm/agent/page/node_details.js";
import { describeSize } from "../../asyncdsm/agent/page/overview.js";
import { makeEdge, makeMap, makePresent, NO_QUANTILES } from "./fixtures.js";

/** @param {string} id */
function readsOf(id, answer = makeMap()) {
  const map = buildMapModel(answer);
  const node = map.nodes.get(id);
  assert.ok(node);
  return JSON.parse(JSON.stringify(listReads(node, map)));
}

test("a topic has the lag of all groups", () => {
  assert.deepEqual(readsOf("orders"), [{ topic: "orders" }]);
});

test("a service has the lag of its groups in the topics that it reads", () => {
  assert.deepEqual(readsOf("billing"), [{ topic: "orders", group: "billing" }]);
  assert.deepEqual(readsOf("shop"), []);
});

test("a queue of another broker than Kafka has no lag", () => {
  const answer = makeMap();
  answer.nodes = answer.nodes.map((node) => ({ ...node, where: node.kind === "queue" ? "rabbitmq" : node.where }));
  assert.deepEqual(readsOf("orders", answer), []);
  assert.deepEqual(readsOf("billing", answer), []);
});

test("a topic whose name is in two clusters has the lag of its own cluster", () => {
  const answer = makeMap();
  answer.nodes = answer.nodes.map((node) => ({ ...node, qualifier: "eu", cluster: "c1" }));
  assert.deepEqual(readsOf("orders", answer), [{ topic: "orders", cluster: "c1" }]);
});

test("a hop is described by its rate, its tail, its change and its lag", () => {
  assert.equal(describeHop(makeEdge()), "in service · 2/s");
  const present = makePresent({ edge_latency: { ...NO_QUANTILES, p99: 0.02 } });
  const lagging = makeEdge({ present, lag: 1500, lag_seconds: 185 });
  assert.equal(describeHop(lagging), "in service · 2/s · p99 20\u00A0ms · lag 1.5\u00A0k, 3\u00A0min");
  const catchingUp = makeEdge({ ...lagging, lag_trend: "catching up" });
  assert.equal(describeHop(catchingUp), "in service · 2/s · p99 20\u00A0ms · lag 1.5\u00A0k, 3\u00A0min, catching up");
});

test("the size of the map is described with what is not drawn", () => {
  const map = buildMapModel(makeMap());
  assert.equal(describeSize(map), "2 services, 2 queues, 2 hops.");
  assert.match(describeSize({ ...map, leftOut: 1 }), / 1 hop with fewer messages is not drawn\.$/);
  assert.match(describeSize({ ...map, leftOut: 3 }), / 3 hops with fewer messages are not drawn\.$/);
});

test("a hop that is slower than all of its pathway is explained", () => {
  const hop = { count: 1200, edge_latency: { ...NO_QUANTILES, p50: 4 } };
  const slow = "A hop with a median of 4\u00A0s is slower than end to end";
  assert.equal(
    describeSlowHop(hop, 300, false),
    `${slow}, which counts only the 300 of its 1.2\u00A0k messages that came to the end.`,
  );
  assert.equal(describeSlowHop(hop, 1200, true), `${slow}: the clocks of its hosts disagree.`);
  assert.match(describeSlowHop(hop, 1200, false), /on their way when the range began or ended\.$/);
});

test("shares of a pathway add up to 100 percent", () => {
  assert.deepEqual(formatShares([1 / 3, 1 / 3, 1 / 3]), ["34\u00A0%", "33\u00A0%", "33\u00A0%"]);
  assert.deepEqual(formatShares([0.005, 0.125, 0.125, 0.745]), ["1\u00A0%", "13\u00A0%", "12\u00A0%", "74\u00A0%"]);
  assert.deepEqual(formatShares([0.001, 0.999]), ["<1\u00A0%", "100\u00A0%"]);
  assert.deepEqual(formatShares([0, 0.29, 0.71]), ["0\u00A0%", "29\u00A0%", "71\u00A0%"]);
  assert.deepEqual(formatShares([0, 0]), ["0\u00A0%", "0\u00A0%"]);
  assert.deepEqual(formatShares([]), []);
});
