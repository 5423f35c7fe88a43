"""What Kafka's clients have in common: what is known of one of them, and the headers, times and offsets of messages.

No value that a client or a message contains is trusted (`asyncdsm.core.values`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from time import time_ns
from typing import Any

from asyncdsm._internal.bounds import make_room
from asyncdsm._internal.log import warn, warn_once
from asyncdsm.core import checkpoint, lag
from asyncdsm.core.context import HEADER, LEGACY_HEADER, legacy_text
from asyncdsm.core.edge import MOST_EDGES, Edge, EdgeCache
from asyncdsm.core.pathway import Pathway
from asyncdsm.core.values import MAX_INT64, check_name, check_offset
from asyncdsm.errors import MalformedValueError
from asyncdsm.integration.pathway_cache import lookup_pathway

HEADER_RESERVE = 160
"""Bytes. A message this close to a limit gets no context: a batch's frame, a message's and a context are up to 136."""

_NS_PER_MS = 1_000_000

Place = tuple[Any, Any, Any]
"""Topic, partition and offset."""


class KafkaClient:
    """What is known of one producer or consumer: its cluster, its group, its edges and its open transaction."""

    def __init__(self) -> None:
        self.cluster_id: str | None = None
        self.cluster_changed_ns: int = 0
        """When the cluster's id became another one, in nanoseconds since the epoch; 0 if it never did. What the client
        knew of partitions before is of another cluster."""
        self.group: str | None = None
        self.adds_headers: bool = True
        """False once the broker has rejected a message with headers."""
        self.largest_message: int = sys.maxsize
        """The bytes of the largest message that this producer may send, as far as its settings are known."""
        self.size_limits: dict[str, int] = {}
        """By topic, what `learn_size_limit` has learned: it is used in the place of `largest_message`."""
        self.transaction: list[tuple[str | None, list[Place]]] = []
        """Groups and what they commit together with the open transaction."""
        self.out_edges: EdgeCache[str] = EdgeCache(self._make_out_edge)
        """The edges of producing, by topic.

        A topic that is not a string raises MalformedValueError, or TypeError if it cannot be hashed."""
        self.in_edges: EdgeCache[str] = EdgeCache(self._make_in_edge)
        """The edges of consuming, by topic."""

    def learn_cluster_id(self, cluster_id: Any) -> None:
        """Take the cluster's id. Edges that were made without it, or with another one, are made again."""
        name = read_name(cluster_id)
        if name is not None and name != self.cluster_id:
            if self.cluster_id is not None:
                self.cluster_changed_ns = time_ns()
            self.cluster_id = name
            self.out_edges.clear()
            self.in_edges.clear()

    def stop_adding_headers(self, topic: Any, error: Any) -> None:
        """Stop adding headers, after the broker has rejected a message with one. Some brokers take no headers at all.

        Clients report brokers before Kafka 0.11, and those that imitate them, with several errors
        (dd-trace-py#13313, dd-trace-js#5704).
        """
        if self.adds_headers and checkpoint.ensure_recorder() is not None:
            self.adds_headers = False
            warn(
                "asyncdsm adds no more headers to the messages of this producer, because the broker rejected one for "
                "topic %s, possibly because of its headers: %r. Checkpoints are recorded as before",
                topic,
                error,
            )

    def learn_size_limit(self, topic: str, size: int, error: Any) -> None:
        """Add no context to messages of nearly `size` bytes, of which the broker has rejected one as too large.

        The limit may be the topic's `max.message.bytes`, which no client knows. If the message had fitted without its
        context, then those that still get one fit with it: a context costs a program at most one message of a topic.
        """
        if checkpoint.ensure_recorder() is not None and size < self.size_limits.get(topic, self.largest_message):
            make_room(self.size_limits, MOST_EDGES)  # as among the edges
            self.size_limits[topic] = size
            warn_once(
                f"too-large-{topic}",
                "asyncdsm adds no more context to messages that this producer sends to topic %s if they have about %d "
                "bytes or more, because the broker rejected one, possibly because of its context: %r. Checkpoints are "
                "recorded as before",
                topic,
                size,
                error,
            )

    def record_produced(self, topic: Any, partition: Any, offset: Any) -> None:
        """Record the offset that the broker gave to a message."""
        record_produced(topic, partition, offset, self.cluster_id)

    def record_commits(self, group: str | None, commits: Iterable[Place]) -> None:
        """Record offsets that were committed: for each partition the next one that the group will read."""
        if group:
            for topic, partition, offset in commits:
                record_committed(group, topic, partition, offset, self.cluster_id)

    def record_transaction(self) -> None:
        """Record the offsets of a transaction that was committed."""
        groups, self.transaction = self.transaction, []
        for group, commits in groups:
            self.record_commits(group, commits)

    def make_lag(self, topic: str, partition: int, position: int, end: int, seen_ns: int | None) -> lag.Lag:
        """Return how far this consumer is behind the end of a partition, which the broker reported at `seen_ns`."""
        behind = max(0, end - position)
        return lag.Lag(self.group, topic, partition, behind, "messages", self.cluster_id, end, seen_ns, type=lag.KAFKA)

    def _make_out_edge(self, topic: str) -> Edge:
        return make_out_edge(topic, self.cluster_id)

    def _make_in_edge(self, topic: str) -> Edge:
        edge = make_in_edge(topic, self.group, self.cluster_id)
        last_in_edges.store(topic, edge)
        return edge


last_in_edges: EdgeCache[str] = EdgeCache(lambda topic: make_in_edge(topic, None, None))
"""The edge of the client that consumed a topic last, for a message that does not tell who consumed it."""


def make_out_edge(topic: Any, cluster_id: str | None) -> Edge:
    """Return the edge of producing to a topic (protocol §4). Raises MalformedValueError unless it is a string."""
    return Edge("direction:out", _topic_tag(topic), "type:kafka", *_cluster_tags(cluster_id))


def make_in_edge(topic: Any, group: str | None, cluster_id: str | None) -> Edge:
    """Return the edge of consuming from a topic; a consumer without a group has no group tag.

    Raises MalformedValueError unless the topic is a string.
    """
    groups = (f"group:{group}",) if group else ()
    return Edge("direction:in", _topic_tag(topic), "type:kafka", *groups, *_cluster_tags(cluster_id))


def read_context(headers: Any) -> Any:
    """Return the context among a message's headers, or None. The headers may have any type and shape.

    A header is a pair whose name is a string; anything else is ignored.
    """
    header = legacy = None
    for name, value in read_pairs(headers):
        if name == HEADER and value is not None:
            header = value
        elif name == LEGACY_HEADER and value is not None:
            legacy = legacy_text(value)
    return legacy if header is None else header


def read_pairs(headers: Any) -> list[tuple[str, Any]]:
    """Return the headers, a dict or an iterable, as pairs. What is not a pair with a string as its name is left out."""
    try:
        found = list(headers.items() if isinstance(headers, dict) else headers or ())
    except Exception:  # it cannot be iterated, or raises meanwhile
        return []
    pairs = (pair for pair in found if isinstance(pair, (tuple, list)) and len(pair) == len(("name", "value")))
    return [(name, value) for name, value in pairs if isinstance(name, str)]


def find_pathway(message: Any, place: Place, headers: Any, broker_ns: Any) -> Pathway | None:
    """Return the pathway of a consumed message, and record nothing.

    A message that was consumed before its client was followed, or many thousands of messages ago, does not tell its
    consumer's group: the group that consumed its topic last in this process is assumed. Raises MalformedValueError
    unless the topic is a string.
    """
    topic = check_name("a topic", place[0])
    pathway = lookup_pathway(message, place)
    if pathway is not None:
        return pathway
    return checkpoint.peek_consume(last_in_edges[topic], read_context(headers), broker_ns)


def report_malformed_message(part: str, error: Exception) -> None:
    """Count a consumed message, of which `part` cannot be read, as malformed."""
    checkpoint.report_hook_error(MalformedValueError(f"{part} of a consumed message: {error}"))


def read_name(name: Any) -> str | None:
    """Return the name of a group or a cluster; None unless it is a string that is not empty."""
    return str.__str__(name) or None if isinstance(name, str) else None


def read_time(milliseconds: Any) -> Any:
    """Return a time in nanoseconds. Anything but an int is returned as it is: the checkpoint counts it as malformed."""
    return milliseconds * _NS_PER_MS if type(milliseconds) is int else milliseconds


def read_offset(offset: Any) -> int | None:
    """Return an offset. None and numbers below zero, with which clients mark an unknown offset, are None.

    Raises MalformedValueError for anything but a whole number of at most 63 bits.
    """
    if type(offset) is int and offset <= MAX_INT64:
        return offset if offset >= 0 else None
    return None if offset is None else check_offset(offset)


def record_produced(topic: Any, partition: Any, offset: Any, cluster_id: str | None) -> None:
    """Record the offset that the broker gave to a message. An unknown one (`read_offset`) is ignored."""
    _record_offset(offset, lag.produced_tags, topic, partition, cluster_id)


def record_committed(group: Any, topic: Any, partition: Any, offset: Any, cluster_id: str | None) -> None:
    """Record the offset that a group committed: the next one that it will read. An unknown one is ignored."""
    _record_offset(offset, lag.committed_tags, group, topic, partition, cluster_id)


def _record_offset(offset: Any, make_tags: Callable[..., tuple[str, ...]], *names: Any) -> None:
    recorder = checkpoint.ensure_recorder()
    if recorder is None:
        return
    try:
        if (known := read_offset(offset)) is not None:
            recorder.record_offset(make_tags(*names), known)
    except MalformedValueError as error:
        recorder.report_malformed(error)
    except TypeError as error:  # a name that cannot be hashed
        recorder.report_malformed(MalformedValueError(f"the topic, partition or group of an offset: {error}"))


def _topic_tag(topic: Any) -> str:
    # A member of an enum may be a string whose `str()` is another string.
    return f"topic:{str.__str__(check_name('a topic', topic))}"


def _cluster_tags(cluster_id: str | None) -> tuple[str, ...]:
    return (f"kafka_cluster_id:{cluster_id}",) if cluster_id else ()
