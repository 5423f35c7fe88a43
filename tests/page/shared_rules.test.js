// Rules that the page and Python's map both implement: test_shared_rules.py asserts the same of Python.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { formatAge, formatDuration } from "../../asyncdsm/agent/page/format.js";
import { labelOrigin } from "../../asyncdsm/agent/page/graph_link.js";
import { cleanName } from "../../asyncdsm/agent/page/names.js";
import { parseMinutes } from "../../asyncdsm/agent/page/time_range.js";

/** @import { MapLabel } from "../../asyncdsm/agent/page/api_types.d.ts" */

/**
 * @type {{
 *   defaultMinutes: number,
 *   durations: [number | null, string][],
 *   ages: [number, string][],
 *   names: [string, string][],
 *   labelOrigins: [MapLabel, number, [number, number, string]][],
 * }}
 */
const RULES = JSON.parse(readFileSync(new URL("shared_rules.json", import.meta.url), "utf8"));
const SIZES = { lineHeight: 13, distance: 5 };

/**
 * Return a figure as the page writes it: no line is broken before its unit.
 * @param {string} text
 */
const withUnit = (text) => text.replace(/(?<=\d) /, "\u00A0");

test("a duration is written as Python writes it", () => {
  for (const [seconds, text] of RULES.durations) assert.equal(formatDuration(seconds), withUnit(text) || "–");
});

test("an age is written as Python writes it", () => {
  for (const [seconds, text] of RULES.ages) assert.equal(formatAge(seconds), withUnit(text));
});

test("a name from outside is shown as Python shows it", () => {
  for (const [name, shown] of RULES.names) assert.equal(cleanName(name), shown);
});

test("a label has its lines where Python has them", () => {
  for (const [label, lines, [x, y, anchor]] of RULES.labelOrigins) {
    assert.deepEqual(labelOrigin(label, lines, SIZES), { x, y, anchor });
  }
});

test("the default time range is the agent's", () => {
  assert.equal(parseMinutes(undefined), String(RULES.defaultMinutes));
});
