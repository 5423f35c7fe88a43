"""Consumer lag: how far behind consumers are, and the tags under which offsets are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from time import time_ns
from typing import NamedTuple, Protocol
from weakref import WeakKeyDictionary

from asyncdsm.core.lag_history import ConsumedPartition, EndHistory
from asyncdsm.core.values import check_name, check_partition, wire_text

KAFKA = "kafka"
"""The type of a lag whose `end` is an offset of Kafka."""


class Lag(NamedTuple):
    """How far one consumer is behind the end of what it reads, from what its client already holds."""

    group: str | None
    """The consumer group, None for a consumer without one."""
    topic: str
    """The topic, queue or stream."""
    partition: int | None
    """None for a queue, which has no partitions."""
    behind: int
    """How much is still to be read, in `unit`."""
    unit: str = "messages"
    """What `behind` counts: messages to read in a partition, messages "ready" in a queue."""
    cluster_id: str | None = None
    """The id of the Kafka cluster, if it is known."""
    end: int | None = None
    """The offset that the next message will get, where the broker counts by offsets."""
    seen_ns: int | None = None
    """When the broker reported `end`, in nanoseconds since the epoch; None if that was just now."""
    seconds: float | None = None
    """How old the oldest unread message is, from the ends that this process saw; 0 if there is none. None if it is not
    known: for a queue, which has no offsets, or if the message was there before this process looked first."""
    type: str = ""
    """The `type:` of the edges that it belongs to. Only ends of the type `kafka` are sent to an agent: the
    protocol has backlogs of Kafka alone (protocol §6)."""


class LagSource(Protocol):
    """A client that knows how far behind it is."""

    def lags(self) -> Iterable[Lag]:
        """Return the lag of each partition it reads, without asking the broker.

        A flush lets other tasks run in between, so an iterator must bear that partitions come and go meanwhile.
        """
        ...


_sources: WeakKeyDictionary[LagSource, None] = WeakKeyDictionary()


def add_lag_source(source: LagSource) -> None:
    """Have `streams.lag()` ask this client, for as long as it is referenced elsewhere."""
    _sources[source] = None


def remove_lag_source(source: LagSource) -> None:
    """Stop asking this client."""
    _sources.pop(source, None)


def _reraise(error: Exception) -> None:
    raise error


def current_lags(report_error: Callable[[Exception], object] = _reraise) -> Iterator[Lag]:
    """Return what `collect_lags` returns, with ages."""
    for lag in collect_lags(report_error):
        age = find_age(lag, time_ns()) if lag.seconds is None else None
        yield lag if age is None else lag._replace(seconds=age)


def collect_lags(report_error: Callable[[Exception], object] = _reraise) -> Iterator[Lag]:
    """Ask every client that still exists. The error of one goes to `report_error`; the others are asked anyway."""
    for reference in _sources.keyrefs():  # a copy: other threads may add clients meanwhile
        source = reference()
        if source is not None:
            try:
                yield from source.lags()
            except Exception as error:
                report_error(error)


class LargestLags:
    """One lag for each consumer and partition, of several clients that read the same or call it the same.

    It is the largest: of two clients of one queue, which were told at different times, it differs little; of two
    databases with a stream of one name, which nothing tells apart, it hides no backlog.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, ...], Lag] = {}

    def add(self, lag: Lag) -> None:
        """Add what one client says. Raises what its values raise if they cannot be compared."""
        names = (lag.type, lag.group, lag.topic, lag.partition, lag.cluster_id, lag.unit)
        key = tuple("" if name is None else str(name) for name in names)
        known = self._found.get(key)
        if known is None or (lag.behind, lag.seconds or 0.0) > (known.behind, known.seconds or 0.0):
            self._found[key] = lag

    def add_all(self, report_error: Callable[[Exception], object]) -> Iterator[int]:
        """Add what all clients say, with ages, and yield after each lag how many there were.

        Errors go to `report_error`.
        """
        for number, lag in enumerate(current_lags(report_error), 1):
            try:
                self.add(lag)
            except Exception as error:
                report_error(error)
            yield number

    def all(self) -> list[Lag]:
        """Return them, in the order in which they came first."""
        return list(self._found.values())


def largest_lags(report_error: Callable[[Exception], object] = _reraise) -> list[Lag]:
    """Return the lags of all clients, with ages, the largest of each consumer and partition."""
    largest = LargestLags()
    for _ in largest.add_all(report_error):
        pass
    return largest.all()


_history = EndHistory()


def note_end(lag: Lag, now_ns: int, *, is_outdated: bool) -> None:
    """Note the end of a partition for the age of what will be unread, once per bucket."""
    partition = ConsumedPartition(lag.group, lag.topic, lag.partition, lag.cluster_id, lag.type)
    if lag.end is not None and not is_outdated:
        _history.note_end(partition, lag.end, lag.end - lag.behind, lag.seen_ns or now_ns)
    else:
        _history.keep(partition)


def forget_other_ends() -> None:
    """Forget the ends of partitions that were not noted since the last call."""
    _history.forget_others()


def find_age(lag: Lag, now_ns: int) -> float | None:
    """Return how old the oldest unread message of a partition is, in seconds; None if that is not known."""
    if type(lag.end) is not int or type(lag.behind) is not int:
        return None
    if lag.behind == 0:
        return 0.0
    partition = ConsumedPartition(lag.group, lag.topic, lag.partition, lag.cluster_id, lag.type)
    try:
        return _history.find_age(partition, lag.end - lag.behind, lag.end, lag.seen_ns or now_ns, now_ns)
    except TypeError:  # a name that cannot be hashed
        return None


@lru_cache(4096, typed=True)
def produced_tags(topic: str, partition: int, cluster_id: str | None = None) -> tuple[str, ...]:
    """Return the backlog tags of the highest acknowledged offset (protocol §6)."""
    return _tags("kafka_produce", topic, partition, cluster_id)


@lru_cache(4096, typed=True)
def committed_tags(group: str, topic: str, partition: int, cluster_id: str | None = None) -> tuple[str, ...]:
    """Return the backlog tags of a committed offset: the next one the group will read."""
    group_tag = f"consumer_group:{check_name('a consumer group', group)}"
    return _tags("kafka_commit", topic, partition, cluster_id, group_tag)


@lru_cache(4096, typed=True)
def high_watermark_tags(topic: str, partition: int, cluster_id: str | None = None) -> tuple[str, ...]:
    """Return the backlog tags of the end of a partition, as a consumer sees it."""
    return _tags("kafka_high_watermark", topic, partition, cluster_id)


def _tags(kind: str, topic: str, partition: int, cluster_id: str | None, *more: str) -> tuple[str, ...]:
    """Return sorted tags. Raises MalformedValueError unless names are strings and the partition is a whole number."""
    cluster = (f"kafka_cluster_id:{check_name('a cluster id', cluster_id)}",) if cluster_id else ()
    topic_tag = f"topic:{check_name('a topic', topic)}"
    tags = (f"type:{kind}", topic_tag, f"partition:{check_partition(partition)}", *cluster, *more)
    return tuple(sorted(map(wire_text, tags)))
