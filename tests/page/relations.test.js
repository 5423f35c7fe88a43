import assert from "node:assert/strict";
import { test } from "node:test";
import { describeHop, timePlace } from "../../asyncdsm/agent/page/hops.js";
import { describeRelated, explainMeasure, nameUniquely } from "../../asyncdsm/agent/page/relations.js";
import { makeEdge, NO_QUANTILES } from "./fixtures.js";

const bounds = { at_least: { ...NO_QUANTILES, p50: 0.2, p99: 1 }, at_most: { ...NO_QUANTILES, p50: 0.5, p99: 2.5 } };

test("a measured time says from how many messages it is", () => {
  assert.equal(explainMeasure({ method: "exact", count: 1500, ...bounds }), "Measured, from 1.5\u00A0k messages.");
});

test("an estimated time says between which bounds the true one is", () => {
  const said = explainMeasure({ method: "estimated", count: 12, ...bounds });
  assert.match(said, /^Estimated, from 12 messages: /);
  assert.match(said, / p50 between 200\u00A0ms and 500\u00A0ms, p99 between 1\u00A0s and 2\.5\u00A0s\.$/);
});

test("two nodes without a common pathway have no time", () => {
  assert.match(explainMeasure({ method: null, count: 0, ...bounds }), /^No message passed both /);
});

test("a related node is described by its kind, its distance and its messages", () => {
  assert.equal(describeRelated({ kind: "queue", distance: 1, count: 20 }), "queue · 1 link away · 20 messages");
  assert.equal(describeRelated({ kind: "service", distance: 4, count: 0 }), "service · 4 links away · 0 messages");
});

test("a service and a queue of one name are told apart by their kind", () => {
  const nodes = [
    { id: "s1", kind: /** @type {const} */ ("service"), name: "mails", where: "prod", label: "mails" },
    { id: "q1", kind: /** @type {const} */ ("queue"), name: "mails", where: "rabbitmq", label: "mails" },
    { id: "q2", kind: /** @type {const} */ ("queue"), name: "orders", where: "kafka", label: "orders (prod)" },
  ];
  const map = { nodes: new Map(nodes.map((node) => [node.id, node])) };
  const names = nodes.map((node) => nameUniquely(node, map));
  assert.deepEqual(names, ["mails (service)", "mails (queue)", "orders (prod)"]);
});

test("the time of a consume is in queue, that of a produce is in service", () => {
  assert.equal(timePlace({ direction: "in" }), "in queue");
  assert.equal(timePlace({ direction: "out" }), "in service");
  assert.equal(timePlace({ direction: "" }), "");
  assert.match(describeHop(makeEdge({ direction: "in" })), /^in queue · /);
});
