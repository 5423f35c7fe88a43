import assert from "node:assert/strict";
import { test } from "node:test";
import {
  countFilters,
  formatHidden,
  formatTrait,
  listTraits,
  MOST_NODES,
  parseDisplay,
  toggleFold,
  toMapQuery,
} from "../../asyncdsm/agent/page/display.js";
import { buildMapModel } from "../../asyncdsm/agent/page/map_model.js";
import { findTraits } from "../../asyncdsm/agent/page/toolbar.js";
import { makeMap, makeNode } from "./fixtures.js";

test("an address without fields displays everything, as the page chooses", () => {
  const display = parseDisplay({});
  const groups = { group: null, folded: new Set() };
  assert.deepEqual(display, { view: null, focus: "", steps: 1, find: "", hidden: new Set(), whole: false, ...groups });
  assert.deepEqual(JSON.parse(JSON.stringify(toMapQuery(display))), { most: MOST_NODES });
  assert.equal(countFilters(display), 0);
});

test("a view or a number of steps that does not exist is the usual one", () => {
  const { view, steps } = parseDisplay({ view: "cube", steps: "4" });
  assert.deepEqual([view, steps], [null, 1]);
});

test("the map is requested with the focus and the filter", () => {
  const display = parseDisplay({ view: "list", focus: "q1", steps: "2", find: " orders -test ", hide: "env:a" });
  const query = { most: undefined, focus: "q1", steps: 2, find: "orders -test", hide: "env:a" };
  assert.deepEqual(toMapQuery(display), { ...query, group: undefined, fold: undefined });
  assert.equal(countFilters(display), 3);
});

test("all of a large map is requested for the list, for a word, for neighbors, and if the address says so", () => {
  for (const fields of [{ view: "list" }, { find: "orders" }, { focus: "q1" }, { whole: "1" }]) {
    assert.equal(toMapQuery(parseDisplay(fields)).most, undefined);
  }
  for (const fields of [{ view: "map" }, { hide: "env:a" }, { whole: "yes" }]) {
    assert.equal(toMapQuery(parseDisplay(fields)).most, MOST_NODES);
  }
});

test("hidden names are the same after they were written and read, whatever is in them", () => {
  const hidden = [formatTrait("env", "a,b:c%2C"), formatTrait("cluster", ""), formatTrait("type", "ü ☃")];
  assert.deepEqual([...parseDisplay({ hide: formatHidden(hidden) }).hidden], hidden);
});

test("what is no trait in the address is ignored", () => {
  assert.deepEqual([...parseDisplay({ hide: "env:%E0%A4%A,name:x,,type:http" }).hidden], ["type:http"]);
});

test("a service can be hidden by its environment, a queue by its type and its cluster", () => {
  assert.deepEqual(listTraits(makeNode({ where: "eu" })), [["env", "eu"]]);
  assert.deepEqual(listTraits(makeNode({ kind: "queue", cluster: "c1" })), [
    ["type", "kafka"],
    ["cluster", "c1"],
  ]);
});

test("only traits that tell nodes apart, or that are hidden, are listed", () => {
  const answer = makeMap();
  answer.nodes.push(makeNode({ id: "eu", where: "eu" }));
  const { nodes } = buildMapModel(answer);
  assert.deepEqual([...findTraits({ nodes }, new Set())], [["env", new Set(["", "eu"])]]);
  assert.deepEqual([...findTraits({ nodes }, new Set(["type:gone"])).keys()], ["env", "type"]);
});

test("groups and what is folded are part of the address, and of a request for a map", () => {
  const display = parseDisplay({ group: "env", fold: "env:staging,shared,env:a%2Cb" });
  assert.deepEqual([display.group, [...display.folded]], ["env", ["env:staging", "shared", "env:a,b"]]);
  assert.equal(toMapQuery(display).fold, "env:staging,shared,env:a%2Cb");
  assert.equal(toMapQuery({ ...display, view: "list" }).group, undefined);
  assert.deepEqual(toggleFold(display, "shared"), { fold: "env:staging,env:a%2Cb" });
  assert.deepEqual(toggleFold(parseDisplay({}), "env:"), { fold: "env:" });
  assert.equal(parseDisplay({ group: "team" }).group, null);
});
