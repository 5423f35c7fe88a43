// What the agent answers. Generated from the structs in Python: run `python -m tests.agent.page_types`.

/** A place where a rule is broken: what to call it, what is wrong, since when, and what of the map it is about. */
export interface Alert {
  place: string;
  text: string;
  state: "firing" | "pending";
  value: number | null;
  since: number;
  or_earlier: boolean;
  nodes: string[];
  edges: string[];
}

/** How many rules there are, how many places have an alert, and what became of the messages to webhooks. */
export interface AlertCounts {
  rules: number;
  firing: number;
  recorded: number;
  delivered: number;
  pending: number;
  dropped: Record<string, number>;
}

/**
 * A rule, and its state: that of its worst place.
 * `pending` is broken, but not for long enough; `unknown` is a rule of which nothing on the map tells whether it is
 * broken, for the reason in `problem`. `firing` is the number of places that have an alert. `alerts` are the places
 * where the rule is broken, the worst first; `more` is how many of them are left out.
 */
export interface AlertRule {
  name: string;
  severity: "critical" | "warning";
  condition: string;
  unit: "messages" | "seconds" | "share";
  state: "firing" | "ok" | "pending" | "unknown";
  since: number | null;
  problem: string;
  firing: number;
  alerts: Alert[];
  more: number;
}

/** All rules, in the order of their file, as they were when they were evaluated last; null if they never were. */
export interface Alerts {
  evaluated: number | null;
  rules: AlertRule[];
}

/**
 * Something that changed: what (`kind`), where, since when, and from what to what.
 * `edge` is the id of the hop that changed; it is null if the change is that of the whole service. `node` is the id of
 * the service on the map. `before`, `now` and `usual` are seconds for a hop that is `slower`, `faster` or `back to
 * usual` (which was slower before, and `before` is the worst of that): medians, or 99th percentiles if `quantile` says
 * that these show the change and medians do not; messages per second for one whose `rate fell` or `rate rose`, versions
 * for `version`, ids and subjects for `schema`, seconds for `lag grows`, and null for a hop or a service that is `new`
 * or `quiet`. `usual` is what it was in the same hour of the day before; null where that is unknown. `is_usual` says
 * that it was then as it is now, so that the change is nothing new.
 */
export interface Change {
  kind:
    | "back to usual"
    | "faster"
    | "lag grows"
    | "new"
    | "quiet"
    | "rate fell"
    | "rate rose"
    | "schema"
    | "slower"
    | "version";
  edge: string | null;
  node: string;
  service: string;
  env: string;
  direction: string;
  type: string;
  queue: string;
  group: string | null;
  since: number;
  before: number | string | null;
  now: number | string | null;
  quantile?: "p50" | "p99" | null;
  usual: number | null;
  is_usual: boolean;
}

/**
 * What changed from a moment on (`from`) up to the end of the range: what is wrong first, then the newest first.
 * Changes of the whole range are listed, and at least those of its last hour. `usual` has what the slowest hops are
 * like usually: before they changed, or else in the same hour of the day before, or in the time before the range.
 */
export interface Changes {
  from: number;
  to: number;
  changes: Change[];
  usual: UsualLatency[];
  cut?: Record<string, number>;
}

/**
 * What messages reach from some nodes, and what they come from there, the nearest first.
 * Nodes to which messages come back are listed themselves.
 */
export interface Downstream {
  nodes: NodeName[];
  downstream: RelatedNode[];
  upstream: RelatedNode[];
  cut?: Record<string, number>;
}

/** What passed in a time range, and where it is drawn. `left_out` edges are not drawn: the quietest ones. */
export interface DrawnMap {
  from: number;
  to: number;
  minutes: number;
  seconds: number;
  services: Service[];
  queues: Queue[];
  edges: Edge[];
  lag: PartitionLag[];
  cut?: Record<string, number>;
  flow: "down" | "right";
  width: number;
  height: number;
  left_out: number;
  oldest: number | null;
  most_pathways: number;
  levels: string[];
  line_height: number;
  label_distance: number;
  nodes: MapNode[];
  links: MapLink[];
  groups: MapGroup[];
}

/** An edge: how much passed it in the range, how long that took, and what it is like now. */
export interface Edge {
  id: string;
  service: string;
  env: string;
  direction: string;
  type: string;
  cluster: string | null;
  queue: string;
  group: string | null;
  tags: string[];
  count: number;
  rate: number;
  lag: number | null;
  lag_seconds: number | null;
  lag_trend: "catching up" | "falling behind" | "steady" | null;
  lag_done_in: number | null;
  edge_latency: Quantiles;
  pathway_latency: Quantiles;
  payload_size: Quantiles;
  present: Present;
  clamped: number;
  clocks_disagree: boolean;
  facts: EdgeFacts | null;
}

/** What the messages of an edge said in the range besides their latency; shares are of all messages of the edge. */
export interface EdgeFacts {
  redelivered: number;
  redelivered_share: number;
  dead_lettered: number;
  dead_lettered_share: number;
  waits: number;
  mean_wait: number | null;
  longest_wait: number | null;
  schemas: EdgeSchema[];
  recent?: RecentFacts | null;
}

/** A schema of messages: its id in the registry, its subject there if that is known, and since when it is used. */
export interface EdgeSchema {
  id: number;
  subject: string;
  since: number;
}

/** An edge, and how much passed it in the range. */
export interface EdgeTraffic {
  id: string;
  service: string;
  env: string;
  direction: string;
  type: string;
  cluster: string | null;
  queue: string;
  group: string | null;
  tags: string[];
  count: number;
  rate: number;
  lag: number | null;
  lag_seconds: number | null;
  lag_trend: "catching up" | "falling behind" | "steady" | null;
  lag_done_in: number | null;
}

/** The versions of a service on one of its edges, in the order of time. */
export interface EdgeVersions {
  edge: string;
  direction: string;
  type: string;
  cluster: string | null;
  queue: string;
  group: string | null;
  versions: VersionNumbers[];
}

/** The body of an answer that refuses a request. */
export interface ErrorAnswer {
  error: ErrorDetail;
}

/** What is wrong (`problem`) with which part of the request (`path`). */
export interface ErrorDetail {
  path: string;
  problem: string;
}

/** Payloads to forward, and what became of them; `dropped` by cause. */
export interface Forwarded {
  recorded: number;
  delivered: number;
  pending: number;
  dropped: Record<string, number>;
}

/** A hop between two nodes, with the fields that Grafana's node graph knows: its median, and its rate. */
export interface GraphEdge {
  id: string;
  source: string;
  target: string;
  mainStat?: string;
  secondaryStat?: string;
  thickness: number;
  detail__p50?: string;
  detail__p99?: string;
  detail__group?: string;
  detail__lag?: string;
}

/** A field of nodes or edges; an arc has a color. */
export interface GraphField {
  field_name: string;
  type: "number" | "string";
  displayName?: string | null;
  color?: string | null;
}

/** The fields of the nodes and of the edges of a `NodeGraph`. */
export interface GraphFields {
  nodes_fields: GraphField[];
  edges_fields: GraphField[];
}

/** A service or a queue, with the fields that Grafana's node graph knows. The three arcs add up to 1. */
export interface GraphNode {
  id: string;
  title: string;
  subTitle: string;
  mainStat: string;
  secondaryStat: string;
  arc__service: number;
  arc__queue: number;
  arc__unread: number;
  detail__where: string;
  detail__cluster: string;
}

/**
 * Whether the agent is well, and what it has counted.
 * `forwarded` is there only if the agent forwards, `alerts` only if it has rules, and `growth` only if its store has a
 * limit of its own.
 */
export interface Health {
  status: "degraded" | "ok";
  payloads: number;
  rows: number;
  forgotten_rows: number;
  ignored_rows: number;
  clamped_buckets: number;
  refused: number;
  repeated: number;
  negative_latencies: number;
  unread: Record<string, number>;
  problems?: Problem[];
  forwarded?: Forwarded | null;
  alerts?: AlertCounts | null;
  growth?: StoreGrowth | null;
}

/**
 * One hop of a whole pathway, its mean latency in seconds, and the share that this has of the means of all hops.
 * Means add up along a pathway, and so do shares; medians do not.
 */
export interface Hop {
  service: string;
  env: string;
  edge: string;
  direction: string;
  type: string;
  cluster: string | null;
  queue: string;
  group: string | null;
  count: number;
  edge_latency: Quantiles;
  mean: number | null;
  level: number;
  share: number;
}

/** The lag in a topic, per consumer group and partition. */
export interface LagOverTime {
  series: LagSeries[];
  cut?: Record<string, number>;
}

/** How many messages a consumer group was behind at the end of a step. */
export interface LagPoint {
  start: number;
  behind: number;
  seconds: number | null;
}

/** The lag of a consumer group in a partition, over time. */
export interface LagSeries {
  group: string;
  topic: string;
  partition: string;
  cluster_id: string | null;
  points: LagPoint[];
}

/**
 * How long messages take from one node to another one: over all pathways, and on each, the busiest first.
 * A message is at a queue when it is sent to it, at a service when it is received, and at the first node of its pathway
 * when that begins. `method` is null if no message passed both nodes, and `exact` if it is on all pathways.
 */
export interface LatencyBetween {
  first: NodeName;
  last: NodeName;
  method: "estimated" | "exact" | null;
  count: number;
  rate: number;
  latency: Quantiles;
  at_least: Quantiles;
  at_most: Quantiles;
  pathways: PathwayBetween[];
  cut?: Record<string, number>;
}

/** A group of services and queues on the drawn map. `x` and `y` are the corner of its box, in pixels. */
export interface MapGroup {
  key: string;
  services: number;
  queues: number;
  folded: boolean;
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Where a link's label is: next to a point of the link, with room for some lines of text, or for none. */
export interface MapLabel {
  x: number;
  y: number;
  side: "above" | "below" | "left" | "right";
  lines: number;
}

/**
 * A link on the drawn map, from one node's id to another's, through points (x, y) in pixels.
 * It has no points if one of its ends is not shown.
 */
export interface MapLink {
  edge: string | null;
  from: string;
  to: string;
  points: [number, number][];
  label: MapLabel;
  width: number;
}

/** A service or a queue on the drawn map. `x` and `y` are its middle, in pixels; 0 if it is not shown. */
export interface MapNode {
  id: string;
  kind: "queue" | "service";
  name: string;
  where: string;
  cluster: string | null;
  label: string;
  qualifier: string;
  shown: boolean;
  quiet_since: number | null;
  x: number;
  y: number;
  width: number;
  height: number;
}

/** The map for Grafana's panel "Node graph". `left_out` edges are not in it: the quietest ones. */
export interface NodeGraph {
  nodes: GraphNode[];
  edges: GraphEdge[];
  left_out: number;
}

/** A service or a queue, with the id that it has on the map. `where` is its environment or its type. */
export interface NodeName {
  id: string;
  kind: "queue" | "service";
  name: string;
  where: string;
  cluster: string | null;
}

/** How far a consumer group is behind in a partition, as of the last ten seconds that all have reported. */
export interface PartitionLag {
  group: string;
  topic: string;
  partition: string;
  cluster_id: string | null;
  behind: number;
  unit: string;
  seconds: number | null;
  trend: "catching up" | "falling behind" | "steady" | null;
  done_in: number | null;
}

/**
 * How long messages of one pathway take from one node to another one.
 * `hash` is that of the pathway at the last node, `hops` what is in between. `method` says whether `latency` was
 * counted (`exact`) or is made of the latencies of the hops as if those did not depend on each other (`estimated`); the
 * longest latency cannot be estimated. Whether they do or not, it is between `at_least`, the latency of the last hop,
 * and `at_most`, that of the pathway up to the last node; an exact latency is equal to both.
 */
export interface PathwayBetween {
  hash: string;
  method: "estimated" | "exact";
  count: number;
  rate: number;
  latency: Quantiles;
  at_least: Quantiles;
  at_most: Quantiles;
  hops: Hop[];
}

/** One pathway at one edge. `hash` is that of the pathway after this hop, `parent` the one before, 0 for none. */
export interface PathwayPoint {
  service: string;
  env: string;
  tags: string[];
  hash: string;
  parent: string;
  count: number;
  edge_latency: Quantiles;
  pathway_latency: Quantiles;
}

/** The pathways through a service or a queue, the slowest first. */
export interface Pathways {
  pathways: WholePathway[];
  cut?: Record<string, number>;
}

/**
 * What a hop is like now (at the end of the range), whichever range is asked for.
 * The figures are those of the last minute that the service has reported, or of the time since the hop changed if that
 * is less. `slowness` is the median in seconds, or a tenth of the 99th percentile if that is more; `level`, which
 * decides the color, is 0 below 1 ms, and one more for each power of ten up to 5 from 10 s on. `label` is the median,
 * `–` where pathways begin and there is nothing to measure from, `tail` the 99th percentile if it is at least two
 * levels above it. `state` and `since` say whether and when the hop became slower or faster by a factor of three or
 * more within the last ten minutes, or idle: nothing passed for a minute; `before` is what `quantile` was before that
 * change: the median, or the 99th percentile if the median does not show the change.
 */
export interface Present {
  from: number | null;
  count: number;
  rate: number;
  edge_latency: Quantiles;
  pathway_latency: Quantiles;
  payload_size: Quantiles;
  slowness: number;
  level: number;
  label: string;
  tail: string | null;
  state: "faster" | "idle" | "slower" | "steady";
  since: number | null;
  before: number | null;
  quantile: "p50" | "p99" | null;
}

/** Something that is wrong with the agent: since when, when last, and how often it happened. */
export interface Problem {
  name: string;
  problem: string;
  since: number;
  last: number;
  count: number;
}

/** What a histogram says: latencies in seconds, or sizes in bytes; null where nothing was counted. */
export interface Quantiles {
  p50: number | null;
  p95: number | null;
  p99: number | null;
  max: number | null;
}

/** A queue, topic or exchange; `cluster` is the id of its Kafka cluster, if that is known. */
export interface Queue {
  type: string;
  name: string;
  cluster: string | null;
  unread: boolean;
  unread_since?: number | null;
}

/**
 * What the messages of an edge said in the last five minutes of the range: `count` is how many messages passed.
 * Each `_since` is when that began: the minute, at most an hour before, since which no five minutes were without such a
 * message; null if there is none.
 */
export interface RecentFacts {
  count: number;
  redelivered: number;
  redelivered_since: number | null;
  dead_lettered: number;
  dead_lettered_since: number | null;
}

/**
 * A node that messages reach from another one, or come from: `distance` links away, along their pathways.
 * `count` messages passed `edges` into this node, or, for a node upstream, out of it, on the pathways that lead from
 * one to the other. A queue that only the broker itself sends to has no edges here.
 */
export interface RelatedNode {
  id: string;
  kind: "queue" | "service";
  name: string;
  where: string;
  cluster: string | null;
  distance: number;
  count: number;
  rate: number;
  edges: string[];
}

/** A rule as it is written: see the manual for what each field means. A field that is null is not there. */
export interface RuleFields {
  name: string;
  when:
    | "dead letters"
    | "end to end"
    | "lag"
    | "missing"
    | "quiet"
    | "redelivered"
    | "time in queue"
    | "time in service"
    | "unread";
  above?: string | number | null;
  for?: string | null;
  quantile?: "max" | "p50" | "p95" | "p99" | null;
  severity?: "critical" | "warning" | null;
  service?: string | null;
  env?: string | null;
  queue?: string | null;
  group?: string | null;
  type?: string | null;
  cluster?: string | null;
  webhook?: string | null;
}

/** A kind of rules, and the fields that such a rule can have besides its name and `when`. */
export interface RuleKind {
  when:
    | "dead letters"
    | "end to end"
    | "lag"
    | "missing"
    | "quiet"
    | "redelivered"
    | "time in queue"
    | "time in service"
    | "unread";
  fields: string[];
  above: string;
}

/** One edge over time, in steps of `step` seconds. Steps in which nothing passed are left out. */
export interface Series {
  edge: EdgeTraffic;
  step: number;
  points: SeriesPoint[];
}

/**
 * What passed an edge in one step.
 * It is `complete` if all of the step is in the range, and over for so long that all services have reported it. If not,
 * count and rate are too low.
 */
export interface SeriesPoint {
  start: number;
  complete: boolean;
  count: number;
  rate: number;
  edge_latency: Quantiles;
  pathway_latency: Quantiles;
  payload_size: Quantiles;
}

/** A service in an environment. `last_seen` is when it last reported, null if that is unknown. */
export interface Service {
  name: string;
  env: string;
  last_seen: number | null;
  quiet_since?: number | null;
  pathways: number;
  many_pathways: boolean;
  too_many_pathways: boolean;
  clocks_disagree: boolean;
  version: string;
  versions: ServiceVersion[];
  process_tags: string[];
  lang: string;
  reports_age?: number | null;
}

/** A version that a service reported, and since when. */
export interface ServiceVersion {
  version: string;
  since: number;
}

/** The versions of a service in the order of time: in all, and on each of its edges, the busiest first. */
export interface ServiceVersions {
  service: string;
  env: string;
  versions: VersionNumbers[];
  edges: EdgeVersions[];
  cut?: Record<string, number>;
}

/**
 * How the store grows: bytes now, at most, and a day at the rate of the last minutes.
 * `needed_bytes` is what all rows will take that are to be kept. If that is more than the limit, it is reached in
 * `full_in_seconds`. `reach_seconds` says how far back rows will reach then, by the seconds that a step has.
 */
export interface StoreGrowth {
  used_bytes: number;
  limit_bytes: number;
  bytes_a_day: number;
  needed_bytes: number;
  reach_seconds: Record<string, number>;
  full_in_seconds: number | null;
}

/** What passed in a time range, with the points of all pathways. */
export interface Topology {
  from: number;
  to: number;
  minutes: number;
  seconds: number;
  services: Service[];
  queues: Queue[];
  edges: Edge[];
  lag: PartitionLag[];
  cut?: Record<string, number>;
  pathways: PathwayPoint[];
}

/**
 * A business transaction: when it was first and last seen, and at which checkpoint of which service last.
 * Of those that went on from there, 95 % took at most `usual_wait` seconds. It is late once it waits longer than
 * `late_after` seconds, and stuck after ten times as long; both are null if that is not known. It is done at a
 * checkpoint at which transactions usually end. `lacks` are the checkpoints that a late one has not passed, and all
 * that are complete have. `steps` are given for a single transaction.
 */
export interface Transaction {
  id: string;
  state: "done" | "late" | "open" | "stuck";
  service: string;
  env: string;
  checkpoint: string;
  first: number;
  last: number;
  late_after: number | null;
  steps: TransactionStep[];
  usual_wait?: number | null;
  lacks?: TransactionPlace[];
}

/** A checkpoint of a service that business transactions pass. */
export interface TransactionPlace {
  service: string;
  env: string;
  checkpoint: string;
}

/** A business transaction passed a checkpoint of a service at `time`. `since_before` is in seconds. */
export interface TransactionStep {
  service: string;
  env: string;
  checkpoint: string;
  time: number;
  since_before: number | null;
}

/**
 * The transactions that were seen last, and those that are late or stuck; in both the latest first.
 * `longest` are those of the late ones that wait longest, the oldest first.
 */
export interface Transactions {
  transactions: Transaction[];
  late: Transaction[];
  longest?: Transaction[];
  cut?: Record<string, number>;
}

/** What a hop is like usually: its median in seconds, and its messages per second, null if that is not known yet. */
export interface UsualLatency {
  edge: string;
  p50: number;
  rate: number | null;
}

/**
 * What passed a service, or one of its edges, while one version reported, or while several did together.
 * `versions` has the one that began first first; it is empty for what was reported without a version. Times are in
 * seconds since the epoch, and are those in the range that was asked for. `count` are the messages that were received,
 * or, if none are, those that were sent. `end_to_end` is up to where the service sends messages on, or, if it sends
 * none, up to where it receives them. Shares are those of received messages, in whole minutes; null where none is
 * whole, or where the service does not say it. `compared_with` is the version that reported alone before, and
 * `differences` say in words what is different since: none if the two have not enough messages, or are alike.
 */
export interface VersionNumbers {
  versions: string[];
  from: number;
  to: number;
  count: number;
  rate: number;
  time_in_queue: Quantiles;
  time_in_service: Quantiles;
  end_to_end: Quantiles;
  redelivered_share: number | null;
  dead_lettered_share: number | null;
  compared_with: string | null;
  differences: string[];
}

/** A pathway from where messages begin to where they are seen last, the first hop first. */
export interface WholePathway {
  hash: string;
  count: number;
  rate: number;
  end_to_end: Quantiles;
  hops: Hop[];
}

/** A rule, and where it is written: in the file of `--rules`, or on the page, where it can be changed. */
export interface WrittenRule {
  source: "file" | "page";
  in_force: boolean;
  version: string;
  rule: RuleFields;
}

/** All rules as they are written, and whether those of the page survive a restart of the agent. */
export interface WrittenRules {
  kept: boolean;
  rules: WrittenRule[];
  kinds: RuleKind[];
}
