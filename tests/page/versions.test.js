import assert from "node:assert/strict";
import { test } from "node:test";
import { buildMapModel } from "../../asyncdsm/agent/page/map_model.js";
import { findServicesAt, listVersionMarkers } from "../../asyncdsm/agent/page/versions.js";
import { makeMap, makeService } from "./fixtures.js";

const SHOP = makeService({
  versions: [
    { version: "1.0", since: 100 },
    { version: "2.0", since: 300 },
  ],
});
const BILLING = makeService({
  name: "billing",
  versions: [
    { version: "a", since: 50 },
    { version: "b", since: 200 },
  ],
});

test("a version is marked where it replaces another one", () => {
  assert.deepEqual(listVersionMarkers([SHOP]), [{ time: 300, label: "version 2.0" }]);
  assert.deepEqual(listVersionMarkers([makeService(), null, undefined]), []);
});

test("versions of several services have their names, in order of time", () => {
  assert.deepEqual(listVersionMarkers([SHOP, BILLING]), [
    { time: 200, label: "billing version b" },
    { time: 300, label: "shop version 2.0" },
  ]);
});

test("a long version is cut", () => {
  const versions = ["1", "v".repeat(90)].map((version) => ({ version, since: 0 }));
  assert.deepEqual(listVersionMarkers([makeService({ versions })]), [{ time: 0, label: `version ${"v".repeat(24)}…` }]);
});

test("a queue has the services that write to it and read from it", () => {
  const map = buildMapModel(makeMap());
  const namesAt = (/** @type {string} */ id) => {
    const node = map.nodes.get(id);
    assert.ok(node);
    return findServicesAt(node, map).map((service) => service.name);
  };
  assert.deepEqual(namesAt("orders"), ["shop", "billing"]);
  assert.deepEqual(namesAt("shop"), ["shop"]);
});
