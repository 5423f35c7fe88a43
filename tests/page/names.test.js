import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanName, cutName, splitClusters } from "../../asyncdsm/agent/page/names.js";

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

const ENGINEER = "\u{1f469}\u200d\u{1f4bb}";

test("a name is never cut within what a person sees as one character", () => {
  const fits = (/** @type {string} */ text) => splitClusters(text).length <= 3;
  assert.equal(cutName(`${ENGINEER}orders${ENGINEER}`, fits), `${ENGINEER}…${ENGINEER}`);
  assert.equal(cutName("e\u0301abcde\u0301", fits), "e\u0301…e\u0301");
  assert.equal(cutName("\u{1f1e9}\u{1f1ea}abc\u{1f1eb}\u{1f1f7}", fits), "\u{1f1e9}\u{1f1ea}…\u{1f1eb}\u{1f1f7}");
});

test("a letter with any number of accents is cut somewhere", () => {
  const name = `a${"\u0301".repeat(900)}`;
  assert.equal([...cleanName(name)].length, 193);
  assert.equal(splitClusters(name).length, 29);
});
