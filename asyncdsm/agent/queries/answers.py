"""What the agent answers besides the topology: the drawn map, series over time, pathways and its own health.

Like `asyncdsm.map.topology`, these structs describe JSON, and OpenAPI and the page's types are generated from them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from asyncdsm.map.layout import FlowName, Side
from asyncdsm.map.topology import (
    Amount,
    Count,
    EdgeTraffic,
    LeftOut,
    LevelNumber,
    MapContent,
    PartitionOfGroup,
    Quantiles,
    Share,
)

Step = Annotated[int, Meta(ge=10)]
When = Literal[
    "lag",
    "time in queue",
    "time in service",
    "end to end",
    "dead letters",
    "redelivered",
    "unread",
    "quiet",
    "missing",
]
"""What a rule can be about."""
Unit = Literal["seconds", "messages", "share"]
ChangeKind = Literal[
    "quiet", "slower", "lag grows", "rate fell", "rate rose", "version", "schema", "new", "faster", "back to usual"
]


class MapNode(Struct, frozen=True, gc=False, kw_only=True):
    """A service or a queue on the drawn map. `x` and `y` are its middle, in pixels; 0 if it is not shown."""

    id: str
    kind: Literal["service", "queue"]
    name: str
    where: str
    """The service's environment, or the queue's type."""
    cluster: str | None
    label: str
    qualifier: str
    """What tells it from other nodes of its name; empty if there are none."""
    shown: bool
    """Whether it is drawn: not if it is no neighbor of the focus, or is hidden by the filter."""
    quiet_since: float | None
    """Since when a service that reported before is silent, in seconds since the epoch; null if it is not."""
    x: float
    y: float
    width: Amount
    height: Amount


class MapLabel(Struct, frozen=True, gc=False, kw_only=True):
    """Where a link's label is: next to a point of the link, with room for some lines of text, or for none."""

    x: float
    y: float
    side: Side
    lines: Count


class MapLink(Struct, frozen=True, gc=False, kw_only=True):
    """A link on the drawn map, from one node's id to another's, through points (x, y) in pixels.

    It has no points if one of its ends is not shown.
    """

    edge: str | None
    """The edge's id; null where a broker carries messages on by itself."""
    from_: str = field(name="from")
    to: str
    points: list[tuple[float, float]]
    label: MapLabel
    width: Amount
    """How wide the link is drawn, in pixels."""


class MapGroup(Struct, frozen=True, gc=False, kw_only=True):
    """A group of services and queues on the drawn map. `x` and `y` are the corner of its box, in pixels."""

    key: str
    """`env:` or `cluster:` and the name, which may be empty; `shared` for what belongs to several alike, or to none."""
    services: Count
    queues: Count
    folded: bool
    """Whether only the title of its box is drawn."""
    x: float
    y: float
    width: Amount
    height: Amount


class DrawnMap(MapContent, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What passed in a time range, and where it is drawn. `left_out` edges are not drawn: the quietest ones."""

    flow: FlowName
    width: Amount
    height: Amount
    left_out: Count
    oldest: float | None
    """When the data of the agent begin, in seconds since the epoch; null if it has none."""
    most_pathways: Count
    """How many distinct pathways of a service Datadog accepts."""
    levels: list[str]
    """The legend: from which latency on a hop has each level."""
    line_height: Amount
    """From a line of a label to the next one, in pixels."""
    label_distance: Amount
    """From a link to its label, in pixels."""
    nodes: list[MapNode]
    links: list[MapLink]
    groups: list[MapGroup]
    """None unless they are asked for."""


class GraphNode(Struct, frozen=True, gc=False, kw_only=True):
    """A service or a queue, with the fields that Grafana's node graph knows. The three arcs add up to 1."""

    id: str
    title: str
    sub_title: str = field(name="subTitle")
    main_stat: str = field(name="mainStat")
    secondary_stat: str = field(name="secondaryStat")
    arc__service: Share
    arc__queue: Share
    arc__unread: Share
    detail__where: str
    detail__cluster: str


class GraphEdge(Struct, frozen=True, gc=False, kw_only=True):
    """A hop between two nodes, with the fields that Grafana's node graph knows: its median, and its rate."""

    id: str
    source: str
    target: str
    main_stat: str = field(name="mainStat", default="")
    secondary_stat: str = field(name="secondaryStat", default="")
    thickness: Amount
    detail__p50: str = ""
    detail__p99: str = ""
    detail__group: str = ""
    detail__lag: str = ""


class NodeGraph(Struct, frozen=True, gc=False, kw_only=True):
    """The map for Grafana's panel "Node graph". `left_out` edges are not in it: the quietest ones."""

    nodes: list[GraphNode]
    edges: list[GraphEdge]
    left_out: Count


class GraphField(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A field of nodes or edges; an arc has a color."""

    field_name: str
    type: Literal["string", "number"]
    display_name: str | None = field(name="displayName", default=None)
    color: str | None = None


class GraphFields(Struct, frozen=True, gc=False, kw_only=True):
    """The fields of the nodes and of the edges of a `NodeGraph`."""

    nodes_fields: list[GraphField]
    edges_fields: list[GraphField]


class SeriesPoint(Struct, frozen=True, gc=False, kw_only=True):
    """What passed an edge in one step.

    It is `complete` if all of the step is in the range, and over for so long that all services have reported it. If
    not, count and rate are too low.
    """

    start: float
    complete: bool
    count: Amount
    rate: Amount
    edge_latency: Quantiles
    pathway_latency: Quantiles
    payload_size: Quantiles


class Series(Struct, frozen=True, gc=False, kw_only=True):
    """One edge over time, in steps of `step` seconds. Steps in which nothing passed are left out."""

    edge: EdgeTraffic
    step: Step
    points: list[SeriesPoint]


class LagPoint(Struct, frozen=True, gc=False, kw_only=True):
    """How many messages a consumer group was behind at the end of a step."""

    start: float
    behind: Count
    seconds: Amount | None
    """How old the oldest unread message was, as in the lag of a partition."""


class LagSeries(PartitionOfGroup, frozen=True, gc=False, kw_only=True):
    """The lag of a consumer group in a partition, over time."""

    points: list[LagPoint]


class LagOverTime(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The lag in a topic, per consumer group and partition."""

    series: list[LagSeries]
    cut: LeftOut = {}


class Hop(Struct, frozen=True, gc=False, kw_only=True):
    """One hop of a whole pathway, its mean latency in seconds, and the share that this has of the means of all hops.

    Means add up along a pathway, and so do shares; medians do not.
    """

    service: str
    env: str
    edge: str
    direction: str
    type: str
    cluster: str | None
    queue: str
    group: str | None
    count: Amount
    """How many messages passed it on this pathway; some may not have come to its end, or not yet."""
    edge_latency: Quantiles
    mean: Amount | None
    level: LevelNumber
    share: Share


class WholePathway(Struct, frozen=True, gc=False, kw_only=True):
    """A pathway from where messages begin to where they are seen last, the first hop first."""

    hash: str
    count: Amount
    rate: Amount
    end_to_end: Quantiles
    hops: list[Hop]


class Pathways(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The pathways through a service or a queue, the slowest first."""

    pathways: list[WholePathway]
    cut: LeftOut = {}


TransactionState = Literal["open", "late", "stuck", "done"]


class TransactionStep(Struct, frozen=True, gc=False, kw_only=True):
    """A business transaction passed a checkpoint of a service at `time`. `since_before` is in seconds."""

    service: str
    env: str
    checkpoint: str
    time: float
    since_before: Amount | None
    """Since the step before; null for the first one."""


class TransactionPlace(Struct, frozen=True, gc=False, kw_only=True):
    """A checkpoint of a service that business transactions pass."""

    service: str
    env: str
    checkpoint: str


class Transaction(Struct, frozen=True, gc=False, kw_only=True):
    """A business transaction: when it was first and last seen, and at which checkpoint of which service last.

    Of those that went on from there, 95 % took at most `usual_wait` seconds. It is late once it waits longer than
    `late_after` seconds, and stuck after ten times as long; both are null if that is not known. It is done at a
    checkpoint at which transactions usually end. `lacks` are the checkpoints that a late one has not passed, and all
    that are complete have. `steps` are given for a single transaction.
    """

    id: str
    state: TransactionState
    service: str
    env: str
    checkpoint: str
    first: float
    last: float
    late_after: Amount | None
    steps: list[TransactionStep]
    usual_wait: Amount | None = None
    lacks: list[TransactionPlace] = []


class Transactions(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The transactions that were seen last, and those that are late or stuck; in both the latest first.

    `longest` are those of the late ones that wait longest, the oldest first.
    """

    transactions: list[Transaction]
    late: list[Transaction]
    longest: list[Transaction] = []
    cut: LeftOut = {}


class NodeName(Struct, frozen=True, gc=False, kw_only=True):
    """A service or a queue, with the id that it has on the map. `where` is its environment or its type."""

    id: str
    kind: Literal["service", "queue"]
    name: str
    where: str
    cluster: str | None


class PathwayBetween(Struct, frozen=True, gc=False, kw_only=True):
    """How long messages of one pathway take from one node to another one.

    `hash` is that of the pathway at the last node, `hops` what is in between. `method` says whether `latency` was
    counted (`exact`) or is made of the latencies of the hops as if those did not depend on each other (`estimated`);
    the longest latency cannot be estimated. Whether they do or not, it is between `at_least`, the latency of the last
    hop, and `at_most`, that of the pathway up to the last node; an exact latency is equal to both.
    """

    hash: str
    method: Literal["exact", "estimated"]
    count: Amount
    rate: Amount
    latency: Quantiles
    at_least: Quantiles
    at_most: Quantiles
    hops: list[Hop]


class LatencyBetween(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """How long messages take from one node to another one: over all pathways, and on each, the busiest first.

    A message is at a queue when it is sent to it, at a service when it is received, and at the first node of its
    pathway when that begins. `method` is null if no message passed both nodes, and `exact` if it is on all pathways.
    """

    first: NodeName
    last: NodeName
    method: Literal["exact", "estimated"] | None
    count: Amount
    rate: Amount
    latency: Quantiles
    at_least: Quantiles
    at_most: Quantiles
    pathways: list[PathwayBetween]
    cut: LeftOut = {}


class RelatedNode(NodeName, frozen=True, gc=False, kw_only=True):
    """A node that messages reach from another one, or come from: `distance` links away, along their pathways.

    `count` messages passed `edges` into this node, or, for a node upstream, out of it, on the pathways that lead from
    one to the other. A queue that only the broker itself sends to has no edges here.
    """

    distance: Annotated[int, Meta(ge=1)]
    count: Amount
    rate: Amount
    edges: list[str]


class Downstream(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What messages reach from some nodes, and what they come from there, the nearest first.

    Nodes to which messages come back are listed themselves.
    """

    nodes: list[NodeName]
    downstream: list[RelatedNode]
    upstream: list[RelatedNode]
    cut: LeftOut = {}


class Change(Struct, frozen=True, gc=False, kw_only=True):
    """Something that changed: what (`kind`), where, since when, and from what to what.

    `edge` is the id of the hop that changed; it is null if the change is that of the whole service. `node` is the
    id of the service on the map. `before`, `now` and `usual` are seconds for a hop that is `slower`, `faster` or
    `back to usual` (which was slower before, and `before` is the worst of that): medians, or 99th percentiles if
    `quantile` says that these show the change and medians do not; messages per second for one whose `rate fell` or
    `rate rose`, versions for `version`, ids and subjects for `schema`, seconds for `lag grows`, and null for a hop
    or a service that is `new` or `quiet`. `usual` is what it was in the same hour of the day before; null where
    that is unknown. `is_usual` says that it was then as it is now, so that the change is nothing new.
    """

    kind: ChangeKind
    edge: str | None
    node: str
    service: str
    env: str
    direction: str
    type: str
    queue: str
    group: str | None
    since: float
    before: float | str | None
    now: float | str | None
    quantile: Literal["p50", "p99"] | None = None
    usual: float | None
    is_usual: bool


class UsualLatency(Struct, frozen=True, gc=False, kw_only=True):
    """What a hop is like usually: its median in seconds, and its messages per second, null if that is not known yet."""

    edge: str
    p50: Amount
    rate: Amount | None


class Changes(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What changed from a moment on (`from`) up to the end of the range: what is wrong first, then the newest first.

    Changes of the whole range are listed, and at least those of its last hour. `usual` has what the slowest hops are
    like usually: before they changed, or else in the same hour of the day before, or in the time before the range.
    """

    from_: float = field(name="from")
    to: float
    changes: list[Change]
    usual: list[UsualLatency]
    cut: LeftOut = {}


class Problem(Struct, frozen=True, gc=False, kw_only=True):
    """Something that is wrong with the agent: since when, when last, and how often it happened."""

    name: str
    problem: str
    since: float
    last: float
    count: Annotated[int, Meta(ge=1)]


class Forwarded(Struct, frozen=True, gc=False, kw_only=True):
    """Payloads to forward, and what became of them; `dropped` by cause."""

    recorded: Count
    delivered: Count
    pending: Count
    dropped: dict[str, int]


class Alert(Struct, frozen=True, gc=False, kw_only=True):
    """A place where a rule is broken: what to call it, what is wrong, since when, and what of the map it is about."""

    place: str
    text: str
    state: Literal["pending", "firing"]
    value: Amount | None
    """In the rule's unit; null if it is not known at present."""
    since: float
    or_earlier: bool
    """Whether it may have begun before `since`: as it was already so when the agent began to look."""
    nodes: list[str]
    """The ids of services and queues."""
    edges: list[str]


class AlertRule(Struct, frozen=True, gc=False, kw_only=True):
    """A rule, and its state: that of its worst place.

    `pending` is broken, but not for long enough; `unknown` is a rule of which nothing on the map tells whether it is
    broken, for the reason in `problem`. `firing` is the number of places that have an alert. `alerts` are the places
    where the rule is broken, the worst first; `more` is how many of them are left out.
    """

    name: str
    severity: Literal["critical", "warning"]
    condition: str
    unit: Unit
    state: Literal["ok", "pending", "firing", "unknown"]
    since: float | None
    problem: str
    firing: Count
    alerts: list[Alert]
    more: Count


class Alerts(Struct, frozen=True, gc=False, kw_only=True):
    """All rules, in the order of their file, as they were when they were evaluated last; null if they never were."""

    evaluated: float | None
    rules: list[AlertRule]


class RuleFields(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A rule as it is written: see the manual for what each field means. A field that is null is not there."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    when: When
    above: str | float | None = None
    """A duration such as `5 s`, a share such as `5 %`, or a number of messages, as the kind allows."""
    for_: str | None = field(name="for", default=None)
    quantile: Literal["p50", "p95", "p99", "max"] | None = None
    severity: Literal["critical", "warning"] | None = None
    service: str | None = None
    env: str | None = None
    queue: str | None = None
    group: str | None = None
    type: str | None = None
    cluster: str | None = None
    webhook: str | None = None
    """A URL. In an answer, only its host is shown; a rule that is written without it keeps that of before."""


class WrittenRule(Struct, frozen=True, gc=False, kw_only=True):
    """A rule, and where it is written: in the file of `--rules`, or on the page, where it can be changed."""

    source: Literal["file", "page"]
    in_force: bool
    """Whether it is evaluated: a rule of the page is not if the file of `--rules` has a rule of its name."""
    version: str
    """Changes with the rule. Who sends it with a change does not undo what others changed meanwhile."""
    rule: RuleFields


class RuleKind(Struct, frozen=True, gc=False, kw_only=True):
    """A kind of rules, and the fields that such a rule can have besides its name and `when`."""

    when: When
    fields: list[str]
    above: str
    """What its limit can be, as in `5 s, or a number of messages`; empty if it has none."""


class WrittenRules(Struct, frozen=True, gc=False, kw_only=True):
    """All rules as they are written, and whether those of the page survive a restart of the agent."""

    kept: bool
    rules: list[WrittenRule]
    kinds: list[RuleKind]
    """The kinds of rules that this agent knows."""


class AlertCounts(Struct, frozen=True, gc=False, kw_only=True):
    """How many rules there are, how many places have an alert, and what became of the messages to webhooks."""

    rules: Count
    firing: Count
    recorded: Count
    delivered: Count
    pending: Count
    dropped: dict[str, int]


class StoreGrowth(Struct, frozen=True, gc=False, kw_only=True):
    """How the store grows: bytes now, at most, and a day at the rate of the last minutes.

    `needed_bytes` is what all rows will take that are to be kept. If that is more than the limit, it is reached in
    `full_in_seconds`. `reach_seconds` says how far back rows will reach then, by the seconds that a step has.
    """

    used_bytes: Count
    limit_bytes: Count
    bytes_a_day: Amount
    needed_bytes: Amount
    reach_seconds: dict[str, Amount]
    full_in_seconds: Amount | None


class Health(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Whether the agent is well, and what it has counted.

    `forwarded` is there only if the agent forwards, `alerts` only if it has rules, and `growth` only if its store has a
    limit of its own.
    """

    status: Literal["ok", "degraded"]
    payloads: Count
    rows: Count
    forgotten_rows: Count
    ignored_rows: Count
    clamped_buckets: Count
    refused: Count
    repeated: Count
    negative_latencies: Amount
    unread: dict[str, int]
    problems: list[Problem] = []
    forwarded: Forwarded | None = None
    alerts: AlertCounts | None = None
    growth: StoreGrowth | None = None


class ErrorDetail(Struct, frozen=True, gc=False, kw_only=True):
    """What is wrong (`problem`) with which part of the request (`path`)."""

    path: str
    problem: str


class ErrorAnswer(Struct, frozen=True, gc=False, kw_only=True):
    """The body of an answer that refuses a request."""

    error: ErrorDetail
