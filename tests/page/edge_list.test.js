import assert from "node:assert/strict";
import { test } from "node:test";
import { COLUMNS, parseOrder, sortEdges, turnOrder } from "../../asyncdsm/agent/page/edge_list.js";
import { buildMapModel } from "../../asyncdsm/agent/page/map_model.js";
import { makeEdge, makeLink, makeMap, NO_QUANTILES } from "./fixtures.js";

/** shop → orders (2 s), orders → billing (5 ms, lag 7), orders → mailing (no time yet, lag 0) */
function makeTable() {
  const answer = makeMap();
  const times = (/** @type {number} */ p99) => ({ ...NO_QUANTILES, p50: p99 / 2, p99 });
  answer.edges = [
    makeEdge({ edge_latency: times(2), rate: 5, count: 50 }),
    makeEdge({ id: "e2", service: "billing", direction: "in", lag: 7, edge_latency: times(0.005), rate: 9 }),
    makeEdge({ id: "e3", service: "Mailing", direction: "in", lag: 0, rate: 1 }),
  ];
  answer.links.push(makeLink("orders", "mailing", "e3"));
  return buildMapModel(answer);
}

/** @param {string} order */
const sorted = (order) => sortEdges(makeTable(), parseOrder(order)).map(({ id }) => id);

test("hops are sorted by their tail latency at first, the slowest first", () => {
  assert.deepEqual(parseOrder(undefined), { column: "p99", ascending: false });
  assert.deepEqual(sorted(""), ["e1", "e2", "e3"]);
  assert.deepEqual(sorted("-no such column"), ["e1", "e2", "e3"]);
});

test("hops are sorted by a column in both directions, and those without a value are last", () => {
  assert.deepEqual(sorted("p99"), ["e2", "e1", "e3"]);
  assert.deepEqual(sorted("-lag"), ["e2", "e3", "e1"]);
  assert.deepEqual(sorted("-rate"), ["e2", "e1", "e3"]);
  assert.deepEqual(sorted("hop"), ["e2", "e3", "e1"]);
});

test("time in queue and time in service are columns of their own", () => {
  assert.equal(sorted("-queue")[0], "e2");
  assert.equal(sorted("-service")[0], "e1");
  const [edge] = makeTable().edges.values();
  const texts = COLUMNS.map(({ format }) => edge && format?.(edge));
  assert.deepEqual(texts, [undefined, "", "1\u00A0s", "2\u00A0s", "5/s", "50", "–", "–"]);
});

test("hops are sorted by the age of their oldest unread message", () => {
  const map = makeTable();
  for (const [id, lag_seconds] of Object.entries({ e2: 3, e3: 90 }))
    Object.assign(map.edges.get(id) ?? {}, { lag_seconds });
  assert.deepEqual(
    sortEdges(map, parseOrder("-age")).map(({ id }) => id),
    ["e3", "e2", "e1"],
  );
  const [edge] = sortEdges(map, parseOrder("-age"));
  assert.equal(edge && COLUMNS.at(-1)?.format?.(edge), "90\u00A0s");
});

test("a click sorts by a column, and a second click turns the order", () => {
  const order = parseOrder(undefined);
  assert.equal(turnOrder(order, "rate"), "-rate");
  assert.equal(turnOrder(order, "hop"), "hop");
  assert.equal(turnOrder(order, "p99"), "p99");
  assert.equal(turnOrder(parseOrder("hop"), "hop"), "-hop");
});

test("hops that the map does not show are not in the list", () => {
  const map = makeTable();
  const link = map.links.get("e1");
  assert.ok(link);
  link.points = [];
  assert.deepEqual(
    sortEdges(map, parseOrder("hop")).map(({ id }) => id),
    ["e2", "e3"],
  );
});
