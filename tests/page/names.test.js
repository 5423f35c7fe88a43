import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanName, cutName } from "../../asyncdsm/agent/page/names.js";

test("an ordinary name is shown as it is", () => {
  assert.equal(cleanName("orders.v2 (eu)"), "orders.v2 (eu)");
  assert.equal(cleanName(""), "");
});

test("characters that control the text around them are replaced", () => {
  assert.equal(cleanName("a\nb\u202ec\u00a0d\u2028e\u0000"), "a�b�c�d�e�");
});

test("a name of spaces is quoted", () => {
  assert.equal(cleanName("  "), '"  "');
});

test("a name that is written from right to left is isolated", () => {
  assert.equal(cleanName("שירות 1"), "\u2068שירות 1\u2069");
});

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
