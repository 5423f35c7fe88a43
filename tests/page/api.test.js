import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";
import { AgentError, encodeParameters, fetchMap } from "../../asyncdsm/agent/page/api.js";
import { describeError, describeState } from "../../asyncdsm/agent/page/status.js";

afterEach(() => mock.restoreAll());

/**
 * Let the agent answer, and return the error that the page makes of it.
 * @param {() => Promise<Response>} answer
 */
async function errorOf(answer) {
  mock.method(globalThis, "fetch", answer);
  const error = await fetchMap({ flow: "right" }).catch((problem) => problem);
  assert.ok(error instanceof AgentError);
  return error;
}

test("parameters that are not known are not sent", () => {
  const parameters = { minutes: undefined, group: null, edge: "a b", from: 0, cluster: "" };
  assert.equal(String(encodeParameters(parameters)), "edge=a+b&from=0&cluster=");
});

test("an answer is returned as it is", async () => {
  const fetched = mock.method(globalThis, "fetch", async () => Response.json({ flow: "down" }));
  assert.deepEqual(await fetchMap({ minutes: "60", flow: "down" }), { flow: "down" });
  assert.equal(fetched.mock.calls[0]?.arguments[0], "api/map?minutes=60&flow=down");
});

test("an agent that cannot be reached is reported as unreachable", async () => {
  const error = await errorOf(async () => {
    throw new TypeError("Failed to fetch");
  });
  assert.deepEqual([error.message, error.status, error.unreachable], ["The agent does not answer", 0, true]);
});

test("an agent that takes too long is reported with the time that it had", async () => {
  const error = await errorOf(async () => {
    throw new DOMException("timed out", "TimeoutError");
  });
  assert.equal(error.message, "The agent did not answer within 15 seconds");
});

test("an agent that requires its token is reported as such", async () => {
  const error = await errorOf(async () =>
    Response.json({ error: { path: "token", problem: "must be given" } }, { status: 401 }),
  );
  assert.deepEqual([error.message, error.unreachable], ["The agent requires its token", false]);
});

test("a rejection is reported with the agent's reason", async () => {
  const answer = { error: { path: "minutes", problem: "must be at most 1440" } };
  const error = await errorOf(async () => Response.json(answer, { status: 400 }));
  assert.equal(error.message, "The agent rejected the request: minutes must be at most 1440");
  assert.equal(error.unreachable, false);
});

test("a failure of the agent is reported with its status", async () => {
  const error = await errorOf(async () => Response.json(null, { status: 503 }));
  assert.deepEqual([error.message, error.unreachable], ["The agent rejected the request: HTTP status 503", true]);
});

test("the status says what the page is doing", () => {
  assert.equal(describeState("live", "14:05:20"), "Live");
  assert.equal(describeState("paused", "14:05:20"), "Paused at 14:05:20");
  assert.equal(describeState("paused", null), "Paused");
  assert.equal(describeState("away", null, new AgentError("The agent does not answer")), "Agent unreachable");
  assert.equal(describeState("away", null, new AgentError("no", 401)), "Request rejected");
});

test("the notice says how old the map is, if there is one", () => {
  const error = new AgentError("The agent does not answer");
  assert.equal(describeError(error, null), "The agent does not answer. Trying again …");
  assert.equal(describeError(error, "14:05:20"), "The agent does not answer. The map is from 14:05:20. Trying again …");
});
