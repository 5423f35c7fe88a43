"""The topology that an agent answers with: services, queues, the edges between them, pathways and lag.

These structs describe the JSON of `/api/topology`. The agent builds them, the map and the commands read them, and the
OpenAPI description and the page's types are generated from them. Times are seconds since the epoch, latencies are
seconds, sizes are bytes, hashes are decimal strings.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from asyncdsm.map.levels import LEVELS

Count = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
LevelNumber = Annotated[int, Meta(ge=0, le=len(LEVELS) - 1)]
Trend = Literal["steady", "catching up", "falling behind"]
LeftOut = dict[str, Annotated[int, Meta(ge=1)]]
"""How many entries are left out of each list of an answer, by the list's name."""


class Quantiles(Struct, frozen=True, gc=False):
    """What a histogram says: latencies in seconds, or sizes in bytes; null where nothing was counted."""

    p50: Amount | None
    p95: Amount | None
    p99: Amount | None
    max: Amount | None


NO_QUANTILES = Quantiles(None, None, None, None)


class Present(Struct, frozen=True, gc=False, kw_only=True):
    """What a hop is like now (at the end of the range), whichever range is asked for.

    The figures are those of the last minute that the service has reported, or of the time since the hop changed if
    that is less. `slowness` is the median in seconds, or a tenth of the 99th percentile if that is more; `level`,
    which decides the color, is 0 below 1 ms, and one more for each power of ten up to 5 from 10 s on. `label` is the
    median, `–` where pathways begin and there is nothing to measure from, `tail` the 99th percentile if it is at
    least two levels above it. `state` and `since` say whether and when the hop became slower or faster by a factor of
    three or more within the last ten minutes, or idle: nothing passed for a minute; `before` is what
    `quantile` was before that change: the median, or the 99th percentile if the median does not show the change.
    """

    from_: float | None = field(name="from")
    count: Amount
    rate: Amount
    edge_latency: Quantiles
    pathway_latency: Quantiles
    payload_size: Quantiles
    slowness: Amount
    level: LevelNumber
    label: str
    tail: str | None
    state: Literal["steady", "slower", "faster", "idle"]
    since: float | None
    before: Amount | None
    quantile: Literal["p50", "p99"] | None


class EdgeTraffic(Struct, frozen=True, gc=False, kw_only=True):
    """An edge, and how much passed it in the range."""

    id: str
    service: str
    env: str
    direction: str
    """`in` if the service reads from the queue, `out` if it writes to it."""
    type: str
    cluster: str | None
    queue: str
    group: str | None
    tags: list[str]
    count: Amount
    rate: Amount
    lag: Count | None
    """How many messages the consumer group is behind in all partitions; null where that is unknown."""
    lag_seconds: Amount | None
    """How old the oldest unread message is, over all partitions where that is known."""
    lag_trend: Trend | None
    """Whether the group catches up, over all partitions."""
    lag_done_in: Amount | None
    """In how many seconds the group has caught up at the present velocity; null unless it is catching up."""


class EdgeSchema(Struct, frozen=True, gc=False):
    """A schema of messages: its id in the registry, its subject there if that is known, and since when it is used."""

    id: Count
    subject: str
    since: float


class RecentFacts(Struct, frozen=True, gc=False, kw_only=True):
    """What the messages of an edge said in the last five minutes of the range: `count` is how many messages passed.

    Each `_since` is when that began: the minute, at most an hour before, since which no five minutes were without such
    a message; null if there is none.
    """

    count: Amount
    redelivered: Count
    redelivered_since: float | None
    dead_lettered: Count
    dead_lettered_since: float | None


class EdgeFacts(Struct, frozen=True, gc=False, kw_only=True):
    """What the messages of an edge said in the range besides their latency; shares are of all messages of the edge."""

    redelivered: Count
    """How many messages were delivered before, or are retries."""
    redelivered_share: Share
    dead_lettered: Count
    """How many messages came out of a dead-letter queue or exchange."""
    dead_lettered_share: Share
    waits: Count
    """How many messages were received in a batch with others, and then taken from it."""
    mean_wait: Amount | None
    """How long these waited in their batch until their turn came, in seconds."""
    longest_wait: Amount | None
    schemas: list[EdgeSchema]
    """The last schemas up to the end of the range, the oldest first."""
    recent: RecentFacts | None = None
    """Null if no message was redelivered or dead-lettered in the last minutes."""


class Edge(EdgeTraffic, frozen=True, gc=False, kw_only=True):
    """An edge: how much passed it in the range, how long that took, and what it is like now."""

    edge_latency: Quantiles
    pathway_latency: Quantiles
    payload_size: Quantiles
    present: Present
    clamped: Share
    """The share of the latencies that are exactly zero although the message came from another service."""
    clocks_disagree: bool
    """Whether that share is so large that the clocks of two hosts must disagree."""
    facts: EdgeFacts | None
    """Null if no message said anything."""


class ServiceVersion(Struct, frozen=True, gc=False):
    """A version that a service reported, and since when."""

    version: str
    since: float


class Service(Struct, frozen=True, gc=False, kw_only=True):
    """A service in an environment. `last_seen` is when it last reported, null if that is unknown."""

    name: str
    env: str
    last_seen: float | None
    quiet_since: float | None = None
    """Since when a service that reported before is silent; null if it is not."""
    pathways: Count
    many_pathways: bool
    """Whether its number of distinct pathways is close to the limit, or beyond it."""
    too_many_pathways: bool
    """Whether it has more distinct pathways than Datadog accepts."""
    clocks_disagree: bool
    version: str
    versions: list[ServiceVersion]
    """The last versions up to the end of the range, the oldest first."""
    process_tags: list[str]
    lang: str
    reports_age: float | None = None
    """How many seconds old its newest bucket is when it comes, if that is so much that its clock may be behind; or else
    null."""


class Queue(Struct, frozen=True, gc=False, kw_only=True):
    """A queue, topic or exchange; `cluster` is the id of its Kafka cluster, if that is known."""

    type: str
    name: str
    cluster: str | None
    unread: bool
    """Whether messages come in and no service is seen reading them: in the whole range, or any more."""
    unread_since: float | None = None
    """Since when, as far as that is known: at most an hour before the end of the range. Null if it is read."""


class PathwayPoint(Struct, frozen=True, gc=False, kw_only=True):
    """One pathway at one edge. `hash` is that of the pathway after this hop, `parent` the one before, 0 for none."""

    service: str
    env: str
    tags: list[str]
    hash: str
    parent: str
    count: Amount
    edge_latency: Quantiles
    pathway_latency: Quantiles


class PartitionOfGroup(Struct, frozen=True, gc=False, kw_only=True):
    """A partition of a topic, and a consumer group that reads it."""

    group: str
    topic: str
    partition: str
    cluster_id: str | None


class PartitionLag(PartitionOfGroup, frozen=True, gc=False, kw_only=True):
    """How far a consumer group is behind in a partition, as of the last ten seconds that all have reported."""

    behind: Count
    """How many messages are unread."""
    unit: str
    seconds: Amount | None
    """How old the oldest unread message is; 0 if there is none, null if the kept offsets do not reach back to it."""
    trend: Trend | None
    """Whether the group catches up; null if it has been followed for less than a minute."""
    done_in: Amount | None
    """In how many seconds the group has caught up at the present velocity; null unless it is catching up."""


class MapContent(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What passed in a time range. `cut` is there only if something had to be left out."""

    from_: float = field(name="from")
    to: float
    minutes: Count
    seconds: Amount
    services: list[Service]
    queues: list[Queue]
    edges: list[Edge]
    lag: list[PartitionLag]
    cut: LeftOut = {}


class Topology(MapContent, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What passed in a time range, with the points of all pathways."""

    pathways: list[PathwayPoint]
