import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanName, cutName } from "../../asyncdsm/agent/page/names.js";

test("a name that is too long is cut between characters, not within one", () => {
  assert.equal(cleanName("abcdef", 3), "abc…");
  assert.equal(cleanName("👍👍👍", 2), "👍👍…");
  assert.equal([...cleanName("x".repeat(500))].length, 201);
});

test("a name is cut to the longest beginning that fits", () => {
  const fits = (/** @type {number} */ length) => (/** @type {string} */ text) => [...text].length <= length;
  assert.equal(cutName("orders", fits(6)), "orders");
  assert.equal(cutName("orders", fits(5)), "orde…");
  assert.equal(cutName("orders", fits(0)), "o…");
});
