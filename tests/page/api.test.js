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

test("what is wrong is named once, also where the problem begins with it", async () => {
  const problems = {
    "for must be a duration": "for",
    "find must have at most 4000 characters": "find",
    '"colour" is unknown; allowed are name, when': "colour",
    "from must be before to": "from",
  };
  for (const [problem, path] of Object.entries(problems)) {
    const error = await errorOf(async () => Response.json({ error: { path, problem } }, { status: 400 }));
    assert.equal(error.message, `The agent rejected the request: ${problem}`);
  }
  const other = { error: { path: "for", problem: "format is wrong" } };
  const error = await errorOf(async () => Response.json(other, { status: 400 }));
  assert.equal(error.message, "The agent rejected the request: for format is wrong");
});

test("a failure of the agent is reported with its status", async () => {
  const error = await errorOf(async () => Response.json(null, { status: 500 }));
  assert.deepEqual([error.message, error.unreachable], ["The agent has an error: HTTP status 500", false]);
  assert.equal(error.rejected, false);
  assert.equal(describeState("away", null, error), "Error of the agent");
});

test("a failure is reported with the agent's reason, and with its status if a proxy answers", async () => {
  const answer = { error: { path: "store", problem: "cannot be read" } };
  const error = await errorOf(async () => Response.json(answer, { status: 503 }));
  assert.equal(error.message, "The agent has an error: store cannot be read");
  const proxied = await errorOf(async () => new Response("<h1>Bad Gateway</h1>", { status: 502 }));
  assert.deepEqual([proxied.message, proxied.unreachable], ["The agent has an error: HTTP status 502", false]);
});

test("an answer that was requested before is taken, once", async () => {
  const fetched = mock.method(globalThis, "fetch", async () => Response.json({ flow: "down" }));
  const taken = async () => Response.json({ flow: "right" });
  const known = (/** @type {string} */ address) => (address === "api/map?flow=right" ? taken() : undefined);
  assert.deepEqual(await fetchMap({ flow: "right" }, known), { flow: "right" });
  assert.deepEqual(await fetchMap({ flow: "down" }, known), { flow: "down" });
  assert.equal(fetched.mock.callCount(), 1);
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
