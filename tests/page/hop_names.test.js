import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { formatHop, joinEnds, nameHopEnds } from "../../asyncdsm/agent/page/hop_names.js";
import { buildMapModel } from "../../asyncdsm/agent/page/map_model.js";
import { makeEdge, makeMap } from "./fixtures.js";

const PAGE = new URL("../../asyncdsm/agent/page/", import.meta.url);
/** The modules in which one arrow leads from what was before to what is now, not along a hop. */
const OTHER_ARROWS = ["changes.js"];

test("a hop is written in the direction in which its messages travel", () => {
  const map = buildMapModel(makeMap());
  assert.equal(formatHop(makeEdge(), map), "shop → orders");
  const read = makeEdge({ id: "e2", service: "billing", direction: "in" });
  assert.equal(formatHop(read, map), "orders → billing");
  assert.equal(joinEnds("orders", "billing").join(""), "orders → billing");
});

test("no other module writes a hop in its own way", () => {
  const scripts = readdirSync(PAGE).filter((name) => name.endsWith(".js") && name !== "hop_names.js");
  assert.ok(scripts.length > 40);
  const found = scripts.flatMap((name) =>
    readFileSync(new URL(name, PAGE), "utf8")
      .split("\n")
      .filter((line) => /[←→]|&[lr]arr;|\\u219[02]/.test(line) && !/^\s*(?:\/?\*|\/\/)/.test(line))
      .map(() => name),
  );
  assert.deepEqual(found, OTHER_ARROWS);
});

test("the ends of a hop are named as on the map", () => {
  const answer = makeMap();
  answer.nodes = answer.nodes.map((node) => ({ ...node, label: `${node.label} (eu)` }));
  const map = buildMapModel(answer);
  assert.deepEqual(nameHopEnds(makeEdge(), map), { service: "shop (eu)", queue: "orders (eu)" });
});

test("the ends of a hop that is not on the map have their own names", () => {
  const map = buildMapModel(makeMap());
  const hop = makeEdge({ id: "unknown", service: "a\nb", queue: "", type: "sqs" });
  assert.deepEqual(nameHopEnds(hop, map), { service: "a�b", queue: "sqs" });
  assert.equal(nameHopEnds({ ...hop, type: "" }, map).queue, "?");
});
