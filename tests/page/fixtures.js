// Answers of the agent for the tests of the page, as small as its types allow.

/** @import { Change, DrawnMap, Edge, MapLink, MapNode } from "../../asyncdsm/agent/page/api_types.d.ts" */
/** @import { Present, Quantiles, Service } from "../../asyncdsm/agent/page/api_types.d.ts" */

/** @type {Quantiles} */
export const NO_QUANTILES = { p50: null, p95: null, p99: null, max: null };

/**
 * @param {Partial<Present>} [changes]
 * @returns {Present}
 */
export function makePresent(changes) {
  return {
    from: 540,
    count: 120,
    rate: 2,
    edge_latency: NO_QUANTILES,
    pathway_latency: NO_QUANTILES,
    payload_size: NO_QUANTILES,
    slowness: 0.005,
    level: 1,
    label: "5 ms",
    tail: null,
    state: "steady",
    since: null,
    before: null,
    quantile: null,
    ...changes,
  };
}

/**
 * @param {Partial<Edge>} [changes]
 * @returns {Edge}
 */
export function makeEdge(changes) {
  return {
    id: "e1",
    service: "shop",
    env: "",
    direction: "out",
    type: "kafka",
    cluster: null,
    queue: "orders",
    group: null,
    tags: [],
    count: 120,
    rate: 2,
    lag: null,
    lag_seconds: null,
    lag_trend: null,
    lag_done_in: null,
    edge_latency: NO_QUANTILES,
    pathway_latency: NO_QUANTILES,
    payload_size: NO_QUANTILES,
    clamped: 0,
    clocks_disagree: false,
    facts: null,
    ...changes,
    present: makePresent(changes?.present),
  };
}

/**
 * @param {Partial<MapNode>} changes
 * @returns {MapNode}
 */
export function makeNode(changes) {
  const { name = "shop", kind = "service" } = changes;
  const where = kind === "service" ? "" : "kafka";
  const size = { shown: true, x: 0, y: 0, width: 168, height: 48 };
  return {
    id: name,
    kind,
    name,
    where,
    cluster: null,
    label: name,
    qualifier: "",
    quiet_since: null,
    ...size,
    ...changes,
  };
}

/**
 * @param {string} from
 * @param {string} to
 * @param {string | null} edge
 * @returns {MapLink}
 */
export function makeLink(from, to, edge) {
  /** @type {[number, number][]} */
  const points = [
    [0, 0],
    [10, 0],
  ];
  return { edge, from, to, points, label: { x: 0, y: 0, side: "above", lines: 3 }, width: 2 };
}

/**
 * @param {Partial<Service>} [changes]
 * @returns {Service}
 */
export function makeService(changes) {
  return {
    name: "shop",
    env: "",
    last_seen: 600,
    pathways: 1,
    many_pathways: false,
    too_many_pathways: false,
    clocks_disagree: false,
    version: "",
    versions: [],
    process_tags: [],
    lang: "python",
    ...changes,
  };
}

/**
 * @param {Partial<Change>} [changes]
 * @returns {Change}
 */
export function makeChange(changes) {
  return {
    kind: "slower",
    edge: "e1",
    node: "billing",
    service: "billing",
    env: "",
    direction: "in",
    type: "kafka",
    queue: "orders",
    group: null,
    since: 540,
    before: null,
    now: null,
    quantile: null,
    usual: null,
    is_usual: false,
    ...changes,
  };
}

/** A map of shop → orders → billing, and of a queue to which the broker forwards what is in orders. */
export function makeMap() {
  /** @type {DrawnMap} */
  const map = {
    from: 0,
    to: 600,
    services: [makeService(), makeService({ name: "billing" })],
    minutes: 10,
    seconds: 600,
    queues: ["orders", "archive"].map((name) => ({ type: "kafka", name, cluster: null, unread: false })),
    lag: [],
    edges: [makeEdge(), makeEdge({ id: "e2", service: "billing", direction: "in", group: "billing", lag: 7 })],
    flow: "right",
    width: 800,
    height: 200,
    left_out: 0,
    groups: [],
    oldest: 0,
    most_pathways: 20,
    levels: ["< 1 ms", "1 ms"],
    line_height: 13,
    label_distance: 5,
    nodes: [
      makeNode({ name: "shop" }),
      makeNode({ name: "billing" }),
      makeNode({ name: "orders", kind: "queue" }),
      makeNode({ name: "archive", kind: "queue" }),
    ],
    links: [makeLink("shop", "orders", "e1"), makeLink("orders", "billing", "e2"), makeLink("orders", "archive", null)],
  };
  return map;
}
