import assert from "node:assert/strict";
import { test } from "node:test";
import { describeLag, findStep, formatLag, lagLines } from "../../asyncdsm/agent/page/lag.js";

const LAG = { lag: 1240, lag_seconds: 185, lag_trend: null, lag_done_in: null };

test("a lag is described with its age, its trend and when it is done", () => {
  assert.equal(
    describeLag({ ...LAG, lag_trend: "catching up", lag_done_in: 245 }),
    "1,240 messages, 3\u00A0min old, catching up, done in about 4\u00A0min",
  );
  assert.equal(
    describeLag({ ...LAG, lag: 1, lag_trend: "falling behind", lag_seconds: null }),
    "1 message, falling behind",
  );
  assert.equal(describeLag({ ...LAG, lag: 0, lag_seconds: 0, lag_trend: "steady" }), "nothing unread");
  assert.equal(describeLag({ ...LAG, lag: null, lag_seconds: null }), "unknown");
});

test("a lag for a small place is a number and an age", () => {
  assert.equal(formatLag(LAG), "1.24\u00A0k, 3\u00A0min");
  assert.equal(formatLag({ lag: 5, lag_seconds: null }), "5");
  assert.equal(formatLag({ lag: 0, lag_seconds: 0 }), "0");
  assert.equal(formatLag({ lag: null, lag_seconds: null }), "–");
});

test("a lag line is broken where more than two of its shortest steps are missing", () => {
  const points = [0, 10, 40].map((start) => ({ start, behind: 0, seconds: 0 }));
  assert.equal(findStep([{ points }]), 20);
  assert.equal(findStep([{ points: [] }]), 60);
});

test("a lag line has messages or seconds, and a gap where the age is unknown", () => {
  const points = [
    { start: 0, behind: 7, seconds: null },
    { start: 10, behind: 9, seconds: 30 },
  ];
  const lag = { group: "billing", topic: "orders", partition: "0", cluster_id: null, points };
  assert.deepEqual(lagLines([lag], "behind"), [
    {
      name: "billing 0",
      shade: 0,
      points: [
        [0, 7],
        [10, 9],
      ],
    },
  ]);
  assert.deepEqual(lagLines([lag], "seconds")[0]?.points, [
    [0, null],
    [10, 30],
  ]);
});

test("a lag line of a service that reads several topics has the topic in its name", () => {
  const lags = ["orders", "orders.retry"].map((topic) => {
    return { group: "payment", topic, partition: "0", cluster_id: null, points: [] };
  });
  assert.deepEqual(
    lagLines(lags, "behind").map((line) => line.name),
    ["payment orders 0", "payment orders.retry 0"],
  );
});
