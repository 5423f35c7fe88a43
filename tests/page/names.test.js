import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanName, cutName } from "../../asyncdsm/agent/page/names.js";

test("a name that is too long is cut between characters, not within one", () => {
  assert.equal(cleanName("abcdef", 3), "abc…");
  assert.equal(cleanName("👍👍👍", 2), "👍👍…");
  assert.equal([...cleanName("x".repeat(500))].length, 201);
});

test("a name is cut in its middle to as much as fits", () => {
  const fits = (/** @type {number} */ length) => (/** @type {string} */ text) => [...text].length <= length;
  assert.equal(cutName("orders", fits(6)), "orders");
  assert.equal(cutName("orders", fits(5)), "or…rs");
  assert.equal(cutName("orders", fits(4)), "or…s");
  assert.equal(cutName("orders", fits(0)), "o…");
  assert.equal(cutName("👍👎👍👎", fits(3)), "👍…👎");
});

test("a name that is written from right to left is isolated after it was cut too", () => {
  const fits = (/** @type {string} */ text) => [...text].length <= 7;
  assert.equal(cutName("שירות 123", fits), "\u2068שי…23\u2069");
});
