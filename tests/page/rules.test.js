import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { describeFieldProblem, listFields, toRule } from "../../asyncdsm/agent/page/rule_form.js";
import { describeRule, describeSource } from "../../asyncdsm/agent/page/rules.js";

/** @import { RuleKind } from "../../asyncdsm/agent/page/api_types.d.ts" */

/** The kinds that the agent knows, as test_shared_rules.py asserts. @type {RuleKind[]} */
const KINDS = JSON.parse(readFileSync(new URL("shared_rules.json", import.meta.url), "utf8")).ruleKinds;

test("a rule about what does not come has no limit, and only a latency has a quantile", () => {
  assert.deepEqual(listFields(KINDS, "missing"), ["for", "severity", "service", "env", "webhook"]);
  assert.ok(listFields(KINDS, "end to end").includes("quantile"));
  assert.ok(!listFields(KINDS, "lag").includes("quantile"));
});

test("fields that do not apply or are empty are left out, and a number is one of messages", () => {
  const fields = {
    name: " behind ",
    when: "lag",
    above: "1_000",
    for: "",
    quantile: "p50",
    group: "billing",
    env: "eu",
  };
  assert.deepEqual(toRule(fields, null, KINDS), { name: "behind", when: "lag", above: 1000, group: "billing" });
  assert.equal(toRule({ ...fields, above: "60 s" }, null, KINDS).above, "60 s");
});

test("a share is written with its sign, and a queue that is not read has no limit", () => {
  const fields = { name: "again", when: "redelivered", above: "5 %", for: "1 min", group: "billing" };
  const rule = toRule(fields, null, KINDS);
  assert.deepEqual(rule, fields);
  assert.equal(describeRule(rule), "redelivered above 5 % for 1 min, group billing, warning");
  const unread = { ...fields, when: "unread", queue: "mails" };
  assert.deepEqual(toRule(unread, null, KINDS), { name: "again", when: "unread", for: "1 min", queue: "mails" });
});

test("a kind that the agent does not know has no fields", () => {
  assert.deepEqual(listFields(KINDS, "mood"), []);
});

test("an empty name can be written, and stays", () => {
  const fields = { name: "down", when: "missing", for: "2 min", service: "*", env: '""' };
  const rule = toRule(fields, null, KINDS);
  assert.equal(rule.env, "");
  assert.equal(toRule({ ...fields, env: "" }, rule, KINDS).env, "");
  assert.equal(toRule({ ...fields, env: "" }, null, KINDS).env, undefined);
});

test("a rule keeps its webhook unless it is to have none", () => {
  const before = toRule({ name: "down", when: "missing", webhook: "hooks.example" }, null, KINDS);
  const fields = { name: "down", when: "missing", webhook: "" };
  assert.equal(toRule(fields, before, KINDS).webhook, undefined);
  assert.equal(toRule({ ...fields, "without-webhook": "on" }, before, KINDS).webhook, null);
});

test("a rule says if it is in the file, or put out of force by it", () => {
  assert.equal(describeSource({ source: "page", in_force: true }), "");
  assert.match(describeSource({ source: "file", in_force: true }), /in the file of --rules$/);
  assert.match(describeSource({ source: "page", in_force: false }), /not in force: the file of --rules has a rule/);
});

test("a rule is described in one line", () => {
  const rule = toRule({ name: "slow", when: "end to end", above: "5 s", quantile: "p95", queue: "a*" }, null, KINDS);
  assert.equal(describeRule({ ...rule, env: "" }), 'p95 of end to end above 5 s, queue a*, env "", warning');
  assert.equal(
    describeRule({ name: "quiet", when: "quiet", for: "10 min", severity: "critical", webhook: "hooks.example" }),
    "quiet for 10 min, critical, tells hooks.example",
  );
});

test("a problem of a field is told in the words of the form", () => {
  assert.equal(describeFieldProblem("above", "Is above", "above must be a duration"), "“Is above” must be a duration.");
  assert.equal(
    describeFieldProblem("name", "Name", "another rule has this name"),
    "“Name”: another rule has this name.",
  );
});
