import assert from "node:assert/strict";
import { test } from "node:test";
import { buildMapModel } from "../../asyncdsm/agent/page/map_model.js";
import { findStep, readStep, sortNodes } from "../../asyncdsm/agent/page/roving.js";
import { makeEdge, makeLink, makeMap, makeNode } from "./fixtures.js";

/** shop → orders → billing and mailing; the broker forwards from orders to archive. */
function makeFork() {
  const answer = makeMap();
  answer.edges.push(makeEdge({ id: "e3", service: "mailing", direction: "in" }));
  answer.links.push(makeLink("orders", "mailing", "e3"));
  answer.nodes = [
    makeNode({ name: "shop", x: 0, y: 50 }),
    makeNode({ name: "orders", kind: "queue", x: 100, y: 50 }),
    makeNode({ name: "billing", x: 200, y: 60 }),
    makeNode({ name: "mailing", x: 200, y: 150 }),
    makeNode({ name: "archive", kind: "queue", x: 200, y: 240 }),
    makeNode({ name: "hidden", shown: false }),
  ];
  return buildMapModel(answer);
}

const MAP = makeFork();

test("arrow keys follow the flow of the map", () => {
  assert.equal(readStep("ArrowRight", "right"), "forward");
  assert.equal(readStep("ArrowDown", "right"), "next");
  assert.equal(readStep("ArrowDown", "down"), "forward");
  assert.equal(readStep("x", "right"), undefined);
});

test("nodes are sorted from where messages begin, without those that are not drawn", () => {
  assert.deepEqual(
    sortNodes(MAP).map(({ id }) => id),
    ["shop", "orders", "billing", "mailing", "archive"],
  );
  assert.equal(findStep("billing", "first", MAP), "shop");
  assert.equal(findStep("billing", "last", MAP), "archive");
});

test("from a node one goes to the straightest link, and from a link to its ends", () => {
  assert.equal(findStep("shop", "forward", MAP), "e1");
  assert.equal(findStep("e1", "forward", MAP, "shop"), "orders");
  assert.equal(findStep("orders", "forward", MAP), "e2");
  assert.equal(findStep("e2", "back", MAP, "billing"), "orders");
  assert.equal(findStep("shop", "back", MAP), undefined);
});

test("from a link one goes on to the others of the node that one came from", () => {
  assert.equal(findStep("e2", "next", MAP, "orders"), "e3");
  assert.equal(findStep("e3", "previous", MAP, "orders"), "e2");
  assert.equal(findStep("e3", "next", MAP, "orders"), undefined);
  assert.equal(findStep("e2", "next", MAP, "billing"), undefined);
});

test("from a node one goes on to those beside it", () => {
  assert.equal(findStep("billing", "next", MAP), "mailing");
  assert.equal(findStep("mailing", "previous", MAP), "billing");
  assert.equal(findStep("billing", "previous", MAP), undefined);
});

test("a link that the broker carries is passed over, since nobody can select it", () => {
  assert.equal(findStep("archive", "back", MAP), "orders");
});

test("what is not on the map leads nowhere", () => {
  assert.equal(findStep("nothing", "forward", MAP), undefined);
});
