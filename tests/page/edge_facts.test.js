import assert from "node:assert/strict";
import { test } from "node:test";
import { describeSchema, listFacts, listSchemaMarkers } from "../../asyncdsm/agent/page/edge_facts.js";
import { makeEdge } from "./fixtures.js";

const FACTS = {
  redelivered: 12,
  redelivered_share: 0.03,
  dead_lettered: 2,
  dead_lettered_share: 0.005,
  waits: 40,
  mean_wait: 0.25,
  longest_wait: 3,
  schemas: [
    { id: 17, subject: "orders-value", since: 100 },
    { id: 18, subject: "", since: 300 },
  ],
};

test("what messages say is shown with number and share, the newest schema first", () => {
  assert.deepEqual(
    listFacts(FACTS).map(([name, text]) => `${name}: ${text.replace(/ since .*/, "")}`),
    [
      "Redelivered: 12, 3\u00A0% of all",
      "Dead-lettered before: 2, <1\u00A0% of all: rejected, expired, or held back for a retry",
      "Waited in its own batch: mean 250\u00A0ms, longest 3\u00A0s",
      "Schema: 18",
      "Schema: 17 (orders-value)",
    ],
  );
});

test("what no message says is not shown", () => {
  const silent = { ...FACTS, redelivered: 0, dead_lettered: 0, waits: 0, mean_wait: null, longest_wait: null };
  assert.deepEqual(listFacts({ ...silent, schemas: [] }), []);
});

test("a schema is marked where it replaces another one", () => {
  assert.deepEqual(listSchemaMarkers({ facts: FACTS }), [{ time: 300, label: "schema 18" }]);
  assert.deepEqual(listSchemaMarkers(makeEdge()), []);
});

test("a schema is described with its subject, if that is known", () => {
  const [first, second] = FACTS.schemas;
  assert.ok(first && second);
  assert.match(describeSchema(first), /^17 \(orders-value\) since .*1970, \d\d:\d\d$/);
  assert.match(describeSchema(second), /^18 since .*1970, \d\d:\d\d$/);
});
