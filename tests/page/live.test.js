import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { AgentError } from "../../asyncdsm/agent/page/api.js";
import { LiveUpdates } from "../../asyncdsm/agent/page/live.js";

/** The agent's events, which a test opens and closes. */
class FakeEvents extends EventTarget {
  static OPEN = 1;
  static CLOSED = 2;
  /** @type {FakeEvents[]} */
  static all = [];
  readyState = 0;

  constructor() {
    super();
    FakeEvents.all.push(this);
  }

  open() {
    this.readyState = FakeEvents.OPEN;
    this.dispatchEvent(new Event("open"));
  }

  close() {
    this.readyState = FakeEvents.CLOSED;
  }
}

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  mock.method(performance, "now", () => Date.now());
  FakeEvents.all = [];
  const window = new EventTarget();
  globalThis.addEventListener = window.addEventListener.bind(window);
  globalThis.dispatchEvent = window.dispatchEvent.bind(window);
  Object.assign(globalThis, { document: Object.assign(new EventTarget(), { hidden: false }), EventSource: FakeEvents });
});

/** Let promises that are settled already call what waits for them. */
async function settle() {
  for (let turn = 0; turn < 20; turn += 1) await null;
}

/** @param {number} milliseconds */
async function pass(milliseconds) {
  for (let passed = 0; passed < milliseconds; passed += 100) {
    mock.timers.tick(100);
    await settle();
  }
}

/** @param {() => Promise<void>} refresh */
function startLive(refresh) {
  const requests = mock.fn(refresh);
  /** @type {string[]} */
  const states = [];
  const live = new LiveUpdates(requests, (state) => states.push(state));
  live.start();
  return { live, requests, states, events: () => FakeEvents.all.at(-1) };
}

test("without events the map is requested every two seconds", async () => {
  const { requests, states } = startLive(async () => {});
  await settle();
  assert.deepEqual(states, ["polling"]);
  await pass(10_000);
  assert.equal(requests.mock.callCount(), 6);
});

test("with events the map is requested every five seconds", async () => {
  const { requests, states, events } = startLive(async () => {});
  events()?.open();
  await settle();
  assert.equal(states.at(-1), "live");
  await pass(1_000);
  const before = requests.mock.callCount();
  await pass(10_000);
  assert.equal(requests.mock.callCount() - before, 2);
});

test("a change is requested at once, but not more than once a second", async () => {
  const { requests, events } = startLive(async () => {});
  events()?.open();
  await pass(3_000);
  const before = requests.mock.callCount();
  for (let change = 0; change < 20; change += 1) {
    events()?.dispatchEvent(new Event("change"));
    await pass(100);
  }
  assert.ok(requests.mock.callCount() - before <= 3, `${requests.mock.callCount() - before} requests`);
  assert.ok(requests.mock.callCount() - before >= 2);
});

test("a request that takes too long is reported as slow", async () => {
  const { states } = startLive(() => new Promise(() => {}));
  await pass(2_900);
  assert.deepEqual(states, []);
  await pass(200);
  assert.deepEqual(states, ["slow"]);
});

test("a request that fails is repeated at growing intervals", async () => {
  const { requests, states } = startLive(async () => {
    throw new Error("no agent");
  });
  await pass(500);
  assert.deepEqual(states, ["away"]);
  await pass(600);
  assert.equal(requests.mock.callCount(), 2);
  await pass(60_000);
  const before = requests.mock.callCount();
  await pass(16_000);
  assert.equal(requests.mock.callCount() - before, 2);
});

test("after a pause nothing is requested until it ends", async () => {
  const { live, requests, states } = startLive(async () => {});
  await settle();
  live.stop();
  const before = requests.mock.callCount();
  await pass(20_000);
  assert.equal(requests.mock.callCount(), before);
  assert.equal(states.at(-1), "paused");
  live.start();
  await settle();
  assert.equal(requests.mock.callCount(), before + 1);
});

test("an answer that arrives after the pause began is not wanted", async () => {
  /** @type {(() => boolean) | undefined} */
  let isWanted;
  const live = new LiveUpdates(
    async (wanted) => {
      isWanted = wanted;
    },
    () => {},
  );
  live.start();
  assert.equal(isWanted?.(), true);
  live.stop();
  assert.equal(isWanted?.(), false);
});

test("events that the browser has given up are opened again", async () => {
  const { events } = startLive(async () => {});
  await settle();
  events()?.close();
  events()?.dispatchEvent(new Event("error"));
  await pass(3_100);
  assert.equal(FakeEvents.all.length, 2);
});

test("a range of the past is requested until there is an answer, but not if the agent rejects it", async () => {
  const { live, requests, states } = startLive(async () => {});
  await settle();
  live.stop();
  let error = new AgentError("The agent does not answer");
  let failures = 2;
  requests.mock.mockImplementation(async () => {
    failures -= 1;
    if (failures >= 0) throw error;
  });
  const before = requests.mock.callCount();
  live.requestNow();
  await pass(10_000);
  assert.equal(requests.mock.callCount() - before, 3);
  assert.deepEqual(states.slice(-3), ["away", "away", "paused"]);
  [error, failures] = [new AgentError("The agent rejected the request", 400), 1];
  live.requestNow();
  await pass(10_000);
  assert.equal(requests.mock.callCount() - before, 4);
});

test("a page that was hidden is updated as soon as it is seen, and says until then that its map is old", async () => {
  const { requests, states, events } = startLive(async () => {});
  events()?.open();
  await pass(1_000);
  Object.assign(document, { hidden: true });
  await pass(60_000);
  const before = requests.mock.callCount();
  Object.assign(document, { hidden: false });
  document.dispatchEvent(new Event("visibilitychange"));
  assert.equal(states.at(-1), "slow");
  assert.equal(requests.mock.callCount(), before + 1);
  await settle();
  assert.equal(states.at(-1), "live");
});

test("a page is updated when it is no longer frozen, and when the computer is online again", async () => {
  const { requests } = startLive(async () => {});
  await settle();
  for (const wake of [() => document.dispatchEvent(new Event("resume")), () => dispatchEvent(new Event("online"))]) {
    const before = requests.mock.callCount();
    wake();
    assert.equal(requests.mock.callCount(), before + 1);
    await settle();
  }
});

test("an agent that does not answer is not waited for silently after a sleep", async () => {
  const { states, requests } = startLive(async () => {});
  await settle();
  requests.mock.mockImplementation(async () => {
    throw new AgentError("The agent does not answer");
  });
  mock.timers.setTime(Date.now() + 600_000); // the computer slept: timers are late by as much
  await pass(2_100);
  assert.deepEqual(states.slice(0, 3), ["polling", "slow", "away"]);
  assert.equal(states.at(-1), "away");
});
