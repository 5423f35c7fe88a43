import assert from "node:assert/strict";
import { test } from "node:test";
import { buildMapModel } from "../../asyncdsm/agent/page/map_model.js";
import { describeTransaction } from "../../asyncdsm/agent/page/search.js";
import { describeLateness, describeListed, listEdgesBetween } from "../../asyncdsm/agent/page/transactions.js";
import { makeMap } from "./fixtures.js";

const ORDER = {
  id: "4711",
  state: /** @type {const} */ ("late"),
  service: "shop",
  env: "",
  checkpoint: "ordered",
  first: 100,
  last: 100,
  usual_wait: 0.1,
  late_after: 60,
  lacks: [{ service: "billing", env: "", checkpoint: "paid" }],
  steps: [],
};

test("a late transaction says where it waits, for how long, what is usual, and what it lacks", () => {
  const text =
    "Late: last seen at ordered in shop, 5\u00A0min ago. Of those that went on from there, 95 % took " +
    "at most 100\u00A0ms; one is late after 60\u00A0s.";
  assert.equal(describeLateness(ORDER, 400), `${text} It lacks paid in billing.`);
  assert.equal(describeLateness({ ...ORDER, lacks: [] }, 400), text);
});

test("a stuck transaction is called stuck, and one that is not late says nothing", () => {
  assert.match(describeLateness({ ...ORDER, state: "stuck" }, 400) ?? "", /^Stuck: /);
  assert.equal(describeLateness({ ...ORDER, state: "open" }, 400), null);
  assert.equal(describeLateness({ ...ORDER, state: "done" }, 400), null);
});

test("a search result names the transaction and where it was last seen", () => {
  assert.deepEqual(describeTransaction(ORDER), {
    selection: { transaction: "4711" },
    label: "Transaction 4711",
    kind: "late · ordered in shop",
  });
});

test("the edges between two services that a transaction passed are listed", () => {
  const map = buildMapModel(makeMap());
  const steps = ["shop", "billing"].map((service) => ({ service, env: "" }));
  const edges = [...map.edges.values()].filter(({ queue }) => queue === "orders");
  assert.deepEqual([...listEdgesBetween(steps, map)].sort(), edges.map(({ id }) => id).sort());
  assert.ok(edges.length > 0);
});

test("of a transaction that passed one service, the edges of that service are listed", () => {
  const map = buildMapModel(makeMap());
  assert.deepEqual([...listEdgesBetween([{ service: "shop", env: "" }], map)], ["e1"]);
  assert.equal(listEdgesBetween([{ service: "unknown", env: "" }], map).size, 0);
});

test("the title of a list says how many transactions there are, and how many of them are shown", () => {
  assert.equal(describeListed("Late transactions", 8, 5270), "Late transactions: the latest 8 of 5,270");
  assert.equal(describeListed("Also late", 8, 8), "Also late: 8");
});
