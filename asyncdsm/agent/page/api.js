// What the agent answers, or why it does not.

const PATIENCE = 15_000;

export class AgentError extends Error {
  // `away`: there is no agent to ask. Otherwise it was asked, and said no.
  constructor(message, status = 0) {
    super(message);
    this.status = status;
    this.away = status === 0 || status >= 500;
  }
}

export async function ask(path, parameters = {}) {
  const known = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined);
  let response;
  let answer;
  try {
    response = await fetch(`${path}?${new URLSearchParams(known)}`, { signal: AbortSignal.timeout(PATIENCE) });
    answer = await response.json();
  } catch (error) {
    throw new AgentError(
      error.name === "TimeoutError" ? "the agent takes too long to answer" : "the agent does not answer",
    );
  }
  if (response.ok) return answer;
  if (response.status === 401) throw new AgentError("the agent asks for its token", 401);
  throw new AgentError(answer?.error?.problem ?? `the agent answers with ${response.status}`, response.status);
}
