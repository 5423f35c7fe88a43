// Requests to the agent's HTTP API. Addresses are relative to the page's, so a proxy may serve it under a path.

/** @import { Alerts, Changes, DrawnMap, ErrorDetail, Health, LagOverTime, Pathways, Series } from "./api_types.d.ts" */
/** @import { RuleFields, Transactions, WrittenRule, WrittenRules } from "./api_types.d.ts" */
/** @import { Downstream, LatencyBetween, ServiceVersions } from "./api_types.d.ts" */

const TIMEOUT_SECONDS = 15;

export const ALERTS_ADDRESS = "api/alerts";

/**
 * @typedef {Record<string, string | number | null | undefined>} Parameters
 *
 * The time range of a request: the last minutes, or from and to in seconds since the epoch. Without any of them, the
 * agent answers for its usual range.
 * @typedef {{ minutes?: string, from?: number, to?: number }} RangeQuery
 */

/** The agent did not answer, it failed, or it rejected the request. */
export class AgentError extends Error {
  /**
   * @param {string} message A sentence without its full stop.
   * @param {number} [status] The HTTP status; 0 if there was no answer.
   * @param {ErrorDetail | null} [detail] What the agent says is wrong, and with which part of the request.
   */
  constructor(message, status = 0, detail = null) {
    super(message);
    this.status = status;
    this.detail = detail;
  }

  /** Whether the agent cannot be reached. */
  get unreachable() {
    return this.status === 0;
  }

  /** Whether the agent answered and rejected the request, so that it makes no sense to repeat it. */
  get rejected() {
    return this.status > 0 && this.status < 500;
  }
}

/** @param {Parameters} parameters */
export const mapAddress = (parameters) => `api/map?${encodeParameters(parameters)}`;

/**
 * @param {RangeQuery & Parameters & { flow: "down" | "right" }} parameters
 * @param {(address: string) => Promise<Response> | undefined} [takeAnswer] Returns an answer that was requested before.
 * @returns {Promise<DrawnMap>}
 */
export function fetchMap(parameters, takeAnswer) {
  const address = mapAddress(parameters);
  return readAnswer(() => takeAnswer?.(address) ?? requestAnswer(address));
}

/** @param {RangeQuery} parameters @returns {Promise<Changes>} */
export const fetchChanges = (parameters) => fetchAnswer("api/changes", parameters);

/** @returns {Promise<Health>} */
export const fetchHealth = () => fetchAnswer("api/health", {});

/**
 * @param {(address: string) => Promise<Response> | undefined} [takeAnswer] Returns an answer that was requested before.
 * @returns {Promise<Alerts>}
 */
export const fetchAlerts = (takeAnswer) =>
  readAnswer(() => takeAnswer?.(ALERTS_ADDRESS) ?? requestAnswer(ALERTS_ADDRESS));

/** @returns {Promise<WrittenRules>} */
export const fetchRules = () => fetchAnswer("api/rules", {});

/** @param {RuleFields} rule @returns {Promise<WrittenRules>} */
export const addRule = (rule) => readAnswer(() => requestAnswer("api/rules", "POST", rule));

/**
 * Replace a rule, unless somebody else has changed it meanwhile.
 * @param {WrittenRule} before
 * @param {RuleFields} rule
 * @returns {Promise<WrittenRules>}
 */
export const replaceRule = (before, rule) => readAnswer(() => requestAnswer(ruleAddress(before), "PUT", rule));

/** @param {WrittenRule} before @returns {Promise<WrittenRules>} */
export const removeRule = (before) => readAnswer(() => requestAnswer(ruleAddress(before), "DELETE"));

/** @param {WrittenRule} before */
const ruleAddress = ({ rule, version }) => `api/rules?${encodeParameters({ name: rule.name, version })}`;

/** @param {RangeQuery & { edge: string }} parameters @returns {Promise<Series>} */
export const fetchSeries = (parameters) => fetchAnswer("api/series", parameters);

/** @param {RangeQuery & Parameters} parameters @returns {Promise<Pathways>} */
export const fetchPathways = (parameters) => fetchAnswer("api/pathways", parameters);

/** @param {RangeQuery & { first: string, last: string }} parameters @returns {Promise<LatencyBetween>} */
export const fetchLatency = (parameters) => fetchAnswer("api/latency", parameters);

/** @param {RangeQuery & Parameters} parameters @returns {Promise<Downstream>} */
export const fetchDownstream = (parameters) => fetchAnswer("api/downstream", parameters);

/** @param {RangeQuery & { service: string, env: string }} parameters @returns {Promise<ServiceVersions>} */
export const fetchVersions = (parameters) => fetchAnswer("api/versions", parameters);

/** @param {RangeQuery & Parameters} parameters @returns {Promise<LagOverTime>} */
export const fetchLag = (parameters) => fetchAnswer("api/lag", parameters);

/** @param {{ id?: string }} parameters @returns {Promise<Transactions>} */
export const fetchTransactions = (parameters) => fetchAnswer("api/transactions", parameters);

/**
 * @param {string} path
 * @param {Parameters} parameters Those that are null or undefined are not sent.
 * @returns {Promise<any>} The answer's JSON.
 * @throws {AgentError}
 */
function fetchAnswer(path, parameters) {
  return readAnswer(() => requestAnswer(`${path}?${encodeParameters(parameters)}`));
}

/**
 * @param {string} address
 * @param {string} [method]
 * @param {object} [body]
 */
export function requestAnswer(address, method = "GET", body = undefined) {
  const signal = AbortSignal.timeout(TIMEOUT_SECONDS * 1000);
  if (!body) return fetch(address, { signal, method });
  return fetch(address, {
    signal,
    method,
    body: JSON.stringify(body),
    headers: { "Content-Type": "application/json" },
  });
}

/**
 * @param {() => Promise<Response>} request
 * @returns {Promise<any>} The answer's JSON.
 * @throws {AgentError}
 */
async function readAnswer(request) {
  let response;
  let answer;
  try {
    response = await request();
    // An error may have another body, that of a proxy for example.
    answer = response.ok ? await response.json() : await response.json().catch(() => null);
  } catch (error) {
    throw new AgentError(describeFailure(error));
  }
  if (!response.ok) throw answeredError(response.status, answer?.error);
  return answer;
}

/**
 * @param {Parameters} parameters
 * @returns {URLSearchParams}
 */
export function encodeParameters(parameters) {
  const encoded = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined) encoded.set(name, String(value));
  }
  return encoded;
}

/** @param {unknown} error */
function describeFailure(error) {
  const timedOut = error instanceof Error && error.name === "TimeoutError";
  return timedOut ? `The agent did not answer within ${TIMEOUT_SECONDS} seconds` : "The agent does not answer";
}

/**
 * Say what is wrong with what. Most problems begin with what they are about, and need not be told it twice.
 * @param {ErrorDetail} detail
 */
function describeProblem({ path, problem }) {
  const named = problem.startsWith(`"${path}"`) ? problem.slice(1) : problem;
  const isNamed = named.startsWith(path) && !/^[\p{L}\p{N}_]/u.test(named.slice(path.length));
  return isNamed || !path ? problem : `${path} ${problem}`;
}

/**
 * @param {number} status
 * @param {ErrorDetail | undefined} detail What the agent says is wrong with the request, or with itself.
 */
function answeredError(status, detail) {
  if (status === 401) return new AgentError("The agent requires its token", status);
  const reason = detail ? describeProblem(detail) : `HTTP status ${status}`;
  if (status >= 500) return new AgentError(`The agent has an error: ${reason}`, status);
  return new AgentError(`The agent rejected the request: ${reason}`, status, detail);
}
