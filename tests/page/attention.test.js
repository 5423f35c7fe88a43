import assert from "node:assert/strict";
import { test } from "node:test";
import { describeUnread, listDeliveries } from "../../asyncdsm/agent/page/attention.js";

const NOW = new Date().setHours(12, 0, 0, 0) / 1000;
const MAP = { to: NOW, isPast: false };
const RECENT = {
  count: 200,
  redelivered: 10,
  redelivered_since: NOW - 120,
  dead_lettered: 1,
  dead_lettered_since: NOW - 60,
};

/**
 * @param {Partial<typeof RECENT>} changed
 * @param {typeof MAP} [map]
 */
function list(changed, map = MAP) {
  const recent = { ...RECENT, ...changed };
  const facts = { redelivered: 0, redelivered_share: 0, dead_lettered: 0, dead_lettered_share: 0, waits: 0 };
  return listDeliveries(
    { facts: { ...facts, mean_wait: null, longest_wait: null, schemas: [], recent } },
    map,
    "billing",
  );
}

test("dead letters and redeliveries of the last minutes need attention", () => {
  const [dead, again, ...rest] = list({});
  assert.match(
    dead ?? "",
    /^1 message \(<1\u00A0%\) that billing read in the last 5 minutes was dead-lettered before, since \d\d:\d\d\.$/,
  );
  assert.match(
    again ?? "",
    /^10 messages \(5\u00A0%\) that billing read in the last 5 minutes were delivered again, since \d\d:\d\d\.$/,
  );
  assert.deepEqual(rest, []);
});

test("a single message in more than a hundred that is delivered again needs no attention", () => {
  assert.deepEqual(list({ redelivered: 1, dead_lettered: 0 }), []);
  assert.equal(list({ redelivered: 2, dead_lettered: 0 }).length, 1);
});

test("what lasts for an hour or longer is not said to have begun when the agent began to look", () => {
  const [dead] = list({ dead_lettered_since: NOW - 3540, redelivered: 0 });
  assert.match(dead ?? "", /dead-lettered before, for an hour or longer\.$/);
});

test("more such messages than there are messages are all of them", () => {
  assert.match(list({ redelivered: 300, dead_lettered: 0 })[0] ?? "", /^300 messages \(100\u00A0%\)/);
  assert.match(list({ redelivered: 3, dead_lettered: 0, count: 0 })[0] ?? "", /^3 messages that/);
});

test("in the past, it is not the last minutes", () => {
  assert.match(list({}, { to: NOW, isPast: true })[0] ?? "", /that billing read in these 5 minutes was/);
});

test("a hop whose messages say nothing needs no attention", () => {
  assert.deepEqual(listDeliveries({ facts: null }, MAP, "billing"), []);
});

test("a queue that nobody reads says since when, as far as that is known", () => {
  assert.match(describeUnread({ unread_since: NOW - 600 }, MAP), /seen reading them since \d\d:\d\d\. A program/);
  assert.match(describeUnread({ unread_since: NOW - 3550 }, MAP), /reading them for an hour or longer\. A program/);
  assert.match(describeUnread({ unread_since: null }, MAP), /seen reading them\. A program/);
});

test("what began on another day says on which", () => {
  const to = NOW - 86_400;
  const then = { ...RECENT, dead_lettered_since: to - 60, redelivered: 0 };
  assert.match(list(then, { to, isPast: true })[0] ?? "", /, since .*\d.*, 11:59\.$/);
});
