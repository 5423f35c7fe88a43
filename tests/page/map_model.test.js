import assert from "node:assert/strict";
import { test } from "node:test";
import { buildMapModel, listEdges, listWarnings } from "../../asyncdsm/agent/page/map_model.js";
import { makeMap, makeService } from "./fixtures.js";

test("a node has its links and its service", () => {
  const map = buildMapModel(makeMap());
  const [shop, orders] = [map.nodes.get("shop"), map.nodes.get("orders")];
  assert.equal(shop?.service?.name, "shop");
  assert.equal(orders?.service, null);
  assert.deepEqual(
    orders?.incoming.map(({ id }) => id),
    ["e1"],
  );
  assert.deepEqual(
    orders?.outgoing.map(({ id }) => id),
    ["e2", "orders-archive"],
  );
});

test("a link without a hop has an id of its own and no edge", () => {
  const map = buildMapModel(makeMap());
  assert.equal(map.links.get("orders-archive")?.edge, null);
  assert.equal(map.links.get("e1")?.edge?.id, "e1");
  assert.deepEqual(
    listEdges([...map.links.values()]).map(({ id }) => id),
    ["e1", "e2"],
  );
});

test("services of one name in two environments are told apart", () => {
  const answer = makeMap();
  answer.services = [makeService({ env: "a", pathways: 3 }), makeService({ env: "b", pathways: 5 })];
  answer.nodes = ["a", "b"].map((env) => ({ ...makeMap().nodes[0], id: env, where: env })).map(Object);
  const map = buildMapModel({ ...answer, links: [] });
  assert.deepEqual(
    [...map.nodes.values()].map((node) => node.service?.pathways),
    [3, 5],
  );
});

test("a service without trouble has no warnings", () => {
  const map = buildMapModel(makeMap());
  for (const node of map.nodes.values()) assert.deepEqual(listWarnings(node, map), []);
});

test("a queue that nobody was seen reading has a warning", () => {
  const answer = makeMap();
  answer.queues = answer.queues.map((queue) => ({ ...queue, unread: queue.name === "archive" }));
  const map = buildMapModel(answer);
  const warned = [...map.nodes.values()].filter((node) => listWarnings(node, map).length > 0);
  assert.deepEqual(
    warned.map(({ id }) => id),
    ["archive"],
  );
  assert.match(warned.flatMap((node) => listWarnings(node, map)).join(), /^Messages come in, but no service was seen/);
});

test("a service whose pathways come near the limit has a warning", () => {
  const answer = makeMap();
  answer.services = [
    makeService({ pathways: 16, many_pathways: true }),
    makeService({ name: "billing", pathways: 15 }),
  ];
  const map = buildMapModel(answer);
  const [shop, billing] = [map.nodes.get("shop"), map.nodes.get("billing")];
  assert.match(shop ? (listWarnings(shop, map)[0] ?? "") : "", /16 distinct pathways.*about 20/);
  assert.deepEqual(billing && listWarnings(billing, map), []);
});

test("a service whose clock disagrees with another has a warning", () => {
  const answer = makeMap();
  answer.services = [makeService({ clocks_disagree: true })];
  const map = buildMapModel(answer);
  const shop = map.nodes.get("shop");
  assert.match(shop ? listWarnings(shop, map).join() : "", /^Clocks disagree/);
});

test("a service whose clock is behind has a warning with the age of its reports", () => {
  const answer = makeMap();
  answer.services = [makeService({ reports_age: 192 })];
  const map = buildMapModel(answer);
  const shop = map.nodes.get("shop");
  assert.match(shop ? listWarnings(shop, map).join() : "", /clock .* behind: its reports are 3\u00A0min old/);
});
