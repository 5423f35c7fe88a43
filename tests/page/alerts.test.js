import assert from "node:assert/strict";
import { test } from "node:test";
import { describeAlerts, describeSince, findSeverity, joinAlerts } from "../../asyncdsm/agent/page/alerts.js";
import { formatSince } from "../../asyncdsm/agent/page/format.js";
import { buildMapModel } from "../../asyncdsm/agent/page/map_model.js";
import { makeMap } from "./fixtures.js";

/** @import { Alert, AlertRule } from "../../asyncdsm/agent/page/api_types.d.ts" */

/**
 * @param {Partial<Alert>} [changes]
 * @returns {Alert}
 */
function makeAlert(changes) {
  const text = "orders → billing: p99 of the time in queue is 4 s, above 1 s";
  const since = { since: 540, or_earlier: false };
  return { place: "orders", text, state: "firing", value: 4, ...since, nodes: ["orders"], edges: ["e2"], ...changes };
}

/**
 * @param {Partial<AlertRule>} [changes]
 * @returns {AlertRule}
 */
function makeRule(changes) {
  const state = { unit: /** @type {"seconds"} */ ("seconds"), state: /** @type {"firing"} */ ("firing"), since: 540 };
  const rule = { name: "orders wait", severity: /** @type {"warning"} */ ("warning"), condition: "", problem: "" };
  return { ...rule, ...state, firing: 1, alerts: [makeAlert()], more: 0, ...changes };
}

/** @param {AlertRule[]} rules */
const mapWith = (rules) => buildMapModel(makeMap(), { evaluated: 600, rules });

test("an alert that an agent found when it began to look says that it may be older", () => {
  const clock = formatSince(540);
  assert.equal(describeSince(makeAlert()), `since ${clock}`);
  assert.equal(describeSince(makeAlert({ or_earlier: true })), `since ${clock} or earlier`);
});

test("an alert marks the nodes and the hops that it is about", () => {
  const map = mapWith([makeRule()]);
  assert.deepEqual(
    ["orders", "e2", "billing"].map((id) => [findSeverity(id, map), describeAlerts(id, map)]),
    [
      ["warning", "alert: orders wait"],
      ["warning", "alert: orders wait"],
      [null, ""],
    ],
  );
});

test("a critical alert comes before a warning, and gives its severity to what both are about", () => {
  const map = mapWith([makeRule(), makeRule({ name: "late", severity: "critical" })]);
  assert.deepEqual(
    map.alerts.firing.map(({ rule }) => rule.name),
    ["late", "orders wait"],
  );
  assert.equal(findSeverity("e2", map), "critical");
  assert.equal(describeAlerts("e2", map), "alert: late, orders wait");
});

test("an alert that is pending is not shown", () => {
  const pending = makeAlert({ state: "pending" });
  const notYet = makeRule({ state: "pending", firing: 0, alerts: [pending] });
  assert.equal(joinAlerts({ evaluated: 600, rules: [notYet] }).count, 0);
  const { firing } = joinAlerts({ evaluated: 600, rules: [makeRule({ alerts: [makeAlert(), pending] })] });
  assert.equal(firing.length, 1);
});

test("alerts that the agent leaves out are counted", () => {
  assert.equal(joinAlerts({ evaluated: 600, rules: [makeRule({ firing: 31, more: 30 })] }).count, 31);
});

test("rules of which nothing is known are listed apart", () => {
  const unknown = makeRule({ state: "unknown", alerts: [], problem: "nothing on the map matches it" });
  const { firing, unknown: listed } = joinAlerts({ evaluated: 600, rules: [unknown, makeRule()] });
  assert.deepEqual([firing.length, listed], [1, [unknown]]);
});

test("an agent without rules marks nothing", () => {
  const map = buildMapModel(makeMap());
  assert.deepEqual([map.alerts.count, map.alerts.firing, findSeverity("orders", map)], [0, [], null]);
});
