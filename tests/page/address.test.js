import assert from "node:assert/strict";
import { test } from "node:test";
import { formatFragment, parseFragment } from "../../asyncdsm/agent/page/address.js";

/** @param {string} fragment */
const named = (fragment) => JSON.parse(JSON.stringify(parseFragment(fragment)));

test("a fragment names the selection and the time range", () => {
  assert.deepEqual(named("#node=s1&minutes=60"), { node: "s1", minutes: "60" });
  assert.deepEqual(named("#edge=e1"), { edge: "e1" });
  assert.deepEqual(named(""), {});
});

test("a fragment names a range of the past", () => {
  assert.deepEqual(named("#edge=e1&from=100&to=700"), { edge: "e1", from: "100", to: "700" });
});

test("what a fragment names twice has the last value", () => {
  assert.deepEqual(named("#minutes=5&minutes=60"), { minutes: "60" });
});

test("parameters that the page does not know are ignored", () => {
  assert.deepEqual(named("#__proto__=1&constructor=2&node=s1"), { node: "s1" });
});

test("an address is the same after it was written and read", () => {
  const address = { node: "a&b=c #ü", edge: undefined, minutes: "60", from: undefined, to: undefined };
  assert.deepEqual(parseFragment(formatFragment(address)), address);
});

test("a fragment leaves out what is not selected", () => {
  assert.equal(formatFragment({ node: "s1" }), "#node=s1");
  assert.equal(formatFragment({ node: "", edge: undefined }), "#");
});
