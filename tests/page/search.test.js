import assert from "node:assert/strict";
import { test } from "node:test";
import { findNodes } from "../../asyncdsm/agent/page/search.js";

/** @param {...string} names */
const nodesOf = (...names) => names.map((name) => ({ name, label: name }));

/** @param {{ name: string }[]} nodes */
const namesOf = (nodes) => nodes.map(({ name }) => name);

test("an empty text finds nothing", () => {
  assert.deepEqual(findNodes(nodesOf("shop"), ""), []);
  assert.deepEqual(findNodes(nodesOf("shop"), "   "), []);
});

test("a name is found whichever case it is written in", () => {
  assert.deepEqual(namesOf(findNodes(nodesOf("Shop", "billing"), " sHOP ")), ["Shop"]);
});

test("the exact name comes before names that contain it", () => {
  assert.deepEqual(namesOf(findNodes(nodesOf("orders-1", "re-orders", "Orders"), "orders")), [
    "Orders",
    "orders-1",
    "re-orders",
  ]);
});

test("of names that begin with the text, the shortest comes first", () => {
  assert.deepEqual(namesOf(findNodes(nodesOf("orders-late", "orders-1"), "ord")), ["orders-1", "orders-late"]);
});

test("a label is searched too, but comes after every name", () => {
  const nodes = [
    { name: "events", label: "events (cluster-1)" },
    { name: "a-very-long-name-of-cluster-1", label: "a-very-long-name-of-cluster-1" },
  ];
  assert.deepEqual(namesOf(findNodes(nodes, "cluster-1")), ["a-very-long-name-of-cluster-1", "events"]);
});

test("at most twelve nodes are found", () => {
  assert.equal(findNodes(nodesOf(...Array.from({ length: 30 }, (_, index) => `orders-${index}`)), "orders").length, 12);
});
