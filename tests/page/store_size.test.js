import assert from "node:assert/strict";
import { test } from "node:test";
import { describeGrowth, toSentence } from "../../asyncdsm/agent/page/store_size.js";

const GROWTH = {
  used_bytes: 1_200_000_000,
  limit_bytes: 4_294_967_296,
  bytes_a_day: 900_000_000,
  needed_bytes: 6_300_000_000,
  reach_seconds: { 10: 86_400, 60: 604_800, 600: 604_800, 3600: 604_800 },
  full_in_seconds: null,
};

test("a store says how large it is, how large it may be, and how it grows", () => {
  assert.equal(
    describeGrowth(GROWTH),
    "1.2\u00A0GB of 4.29\u00A0GB; at the present rate, 900\u00A0MB are written a day.",
  );
});

test("a store that does not grow says only how large it is", () => {
  assert.equal(describeGrowth({ ...GROWTH, bytes_a_day: 0 }), "1.2\u00A0GB of 4.29\u00A0GB.");
});

test("a warning of the agent becomes a sentence", () => {
  assert.equal(toSentence("the store grows"), "The store grows.");
});
