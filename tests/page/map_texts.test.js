import assert from "node:assert/strict";
import { test } from "node:test";
import { FreePlaces } from "../../asyncdsm/agent/page/free_places.js";
import { labelBox, listLabelLines } from "../../asyncdsm/agent/page/graph_link.js";
import { dropParts, roomForName } from "../../asyncdsm/agent/page/graph_node.js";
import { findColor, findGroups } from "../../asyncdsm/agent/page/groups.js";
import { buildMapModel } from "../../asyncdsm/agent/page/map_model.js";
import { findTextSizes, toCssVariables } from "../../asyncdsm/agent/page/text_sizes.js";
import { makeMap, makeNode } from "./fixtures.js";

test("a place is taken only if nothing is there", () => {
  const free = new FreePlaces([{ x: 0, y: 0, width: 100, height: 20 }]);
  assert.equal(free.take({ x: 40, y: 15, width: 40, height: 12 }), false);
  assert.equal(free.take({ x: 40, y: 16, width: 40, height: 12 }), true);
  assert.equal(free.take({ x: 59, y: 16, width: 40, height: 12 }), false);
  assert.equal(free.take({ x: 500, y: 16, width: 40, height: 12 }), true);
});

test("texts have their own sizes on a map that is not made smaller", () => {
  const { least, name, withDetails } = findTextSizes(1);
  assert.deepEqual([least, name], [0, { service: 14.5, queue: 13.5 }]);
  assert.deepEqual(withDetails, { service: true, queue: true });
});

test("no text is smaller than ten pixels of the screen, however small the map is", () => {
  for (let scale = 0.04; scale < 2.5; scale *= 1.03) {
    for (const [name, size] of toCssVariables(findTextSizes(scale))) {
      assert.ok(Number.parseFloat(size) * scale >= 9.99, `${name} at ${scale}`);
    }
  }
});

test("on a small map there are names only", () => {
  const { withDetails, withLabels, withManyLabels } = findTextSizes(0.3);
  assert.deepEqual(withDetails, { service: false, queue: false });
  assert.deepEqual([withLabels, withManyLabels], [false, false]);
});

test("a name may be as wide as its box, or as some letters if the box is smaller than a letter", () => {
  const service = makeNode({});
  assert.equal(roomForName(service, findTextSizes(1)), 148);
  const small = findTextSizes(0.1);
  assert.equal(roomForName(service, small), 7 * small.least);
});

test("a description loses its first parts where there is no room, and is never empty", () => {
  const fits = (/** @type {number} */ length) => (/** @type {string} */ text) => text.length <= length;
  assert.equal(dropParts("eu · 2/s in, 3/s out", fits(20)), "eu · 2/s in, 3/s out");
  assert.equal(dropParts("eu · 2/s in, 3/s out", fits(19)), "2/s in, 3/s out");
  assert.equal(dropParts("eu · 2/s in, 3/s out", fits(3)), "3/s out");
  assert.equal(dropParts("eu · 9/s in, 0.3/s out", fits(8), "9/s in"), "9/s in");
  assert.equal(dropParts("eu · 9/s in, 0.3/s out", fits(17), "9/s in"), "9/s in, 0.3/s out");
});

test("a date loses its time of day where there is no room, and never what it is about", () => {
  const fits = (/** @type {number} */ length) => (/** @type {string} */ text) => text.length <= length;
  assert.equal(dropParts("eu · quiet since 28 Nov, 14:03", fits(30)), "eu · quiet since 28 Nov, 14:03");
  assert.equal(dropParts("eu · quiet since 28 Nov, 14:03", fits(29)), "quiet since 28 Nov, 14:03");
  assert.equal(dropParts("eu · quiet since 28 Nov, 14:03", fits(20)), "quiet since 28 Nov");
  assert.equal(dropParts("quiet since Nov 28, 2025, 14:03", fits(18)), "quiet Nov 28, 2025");
  assert.equal(dropParts("quiet since 14:03", fits(16)), "quiet 14:03");
  assert.equal(dropParts("quiet since 14:03", fits(3)), "quiet"); // cut later, if need be
});

test("a label needs the box of its lines", () => {
  /** @type {import("../../asyncdsm/agent/page/api_types.d.ts").MapLabel} */
  const label = { x: 100, y: 100, side: "above", lines: 2 };
  const sizes = { lineHeight: 13, distance: 5 };
  assert.deepEqual(labelBox(label, [30], sizes), { x: 100, y: 87.625, width: 30, height: 15 });
  assert.deepEqual(labelBox(label, [30, 60], sizes), { x: 100, y: 81.125, width: 60, height: 28 });
  assert.equal(labelBox({ ...label, side: "right" }, [30], sizes).x, 120);
});

test("a link for whose label the layout has no room has one only if it is highlighted", () => {
  const [link] = buildMapModel(makeMap()).links.values();
  assert.ok(link);
  const crowded = { ...link, label: { ...link.label, lines: 0 } };
  assert.deepEqual(listLabelLines(crowded, 0), []);
  assert.deepEqual(listLabelLines(crowded, 1), [{ text: "5 ms", index: 0 }]);
});

test("environments and clusters have colors where there are several", () => {
  assert.deepEqual(findGroups(buildMapModel(makeMap())), { env: new Map(), cluster: new Map() });
  const answer = makeMap();
  answer.nodes.push(
    makeNode({ id: "eu", where: "eu" }),
    ...["c1", "c2"].map((cluster) => makeNode({ id: cluster, kind: "queue", cluster })),
  );
  const groups = findGroups(buildMapModel(answer));
  assert.deepEqual(Object.fromEntries(groups.env), { "": 0, eu: 1 });
  assert.deepEqual(Object.fromEntries(groups.cluster), { c1: 2, c2: 3 });
  assert.equal(findColor(makeNode({ where: "eu" }), groups), 1);
  assert.equal(findColor(makeNode({ kind: "queue" }), groups), undefined);
});
