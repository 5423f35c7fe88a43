import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseDisplay, toMapParameters } from "../../asyncdsm/agent/page/map_request.js";

test("a narrow screen shows the list and a map that flows down, unless the address says otherwise", () => {
  assert.equal(chooseDisplay({}, true).view, "list");
  assert.equal(chooseDisplay({ view: "map" }, true).view, "map");
  assert.equal(chooseDisplay({}, false).view, "map");
  assert.equal(toMapParameters({}, true).flow, "down");
});

test("a request for the map has the range and what is displayed", () => {
  assert.deepEqual(JSON.parse(JSON.stringify(toMapParameters({}, false))), { flow: "right", most: 70 });
  const address = { from: "100", to: "200", find: "orders", hide: "env:staging" };
  assert.deepEqual(JSON.parse(JSON.stringify(toMapParameters(address, false))), {
    from: 100,
    to: 200,
    flow: "right",
    find: "orders",
    hide: "env:staging",
  });
});
