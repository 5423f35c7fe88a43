"""What takes checkpoints: the interface that the hot path calls, and what its implementations have in common.

`Aggregator` counts checkpoints into buckets; `asyncdsm.testing.Captured` keeps each of them for a test to look at.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from itertools import count
from time import time_ns
from typing import Protocol

from asyncdsm._internal.log import warn_each_minute
from asyncdsm.core.context import node_hash, pathway_hash
from asyncdsm.core.counters import Counters, Stats
from asyncdsm.core.cycles import PathwayCycles
from asyncdsm.core.edge import Edge, Point
from asyncdsm.core.edge_facts import FactLog
from asyncdsm.core.transactions import check_transaction
from asyncdsm.core.values import check_offset
from asyncdsm.errors import MalformedValueError

_HOOK_FAILED = "asyncdsm hook failed; the message was not affected: %r"
_ids = count(1)


class Recorder(Protocol):
    """Takes the checkpoints of this process."""

    id: int
    """Distinguishes the recorders of this process: an edge notes whose points it has."""
    now: Callable[[], int]
    """The clock, in nanoseconds since the epoch."""
    max_header_bytes: int
    strict: bool
    """Under test: errors of asyncdsm are raised, not kept from the program."""
    counters: Counters
    facts: FactLog
    """Takes what messages say besides their latency."""

    def record(self, point: Point, now: int, edge_ns: int, pathway_ns: int, size: int | None) -> None:
        """Take a checkpoint: its point, time, edge latency and pathway latency in ns, size in bytes if it is known."""

    def point(self, edge: Edge, parent: int) -> Point:
        """Return the point of a pathway with the hash `parent` on an edge."""
        ...

    def find_produce_point(self, edge: Edge, parent: int) -> Point:
        """Return the point of a message produced on an edge that has no point for `parent` yet."""
        ...

    def find_consume_point(self, edge: Edge, parent: int) -> Point:
        """Return the point of a message consumed on an edge that has no point for `parent` yet."""
        ...

    def record_offset(self, tags: tuple[str, ...], offset: object) -> None:
        """Record a Kafka offset under the sorted tags of a backlog (protocol §6). Never raises."""

    def record_transaction(self, transaction_id: object, checkpoint: object) -> None:
        """Record that a business transaction passes a named checkpoint now. Never raises."""

    def report_malformed(self, error: MalformedValueError) -> None:
        """Count a value from outside that could not be used. Never raises."""

    def report_error(self, error: Exception, key: str, message: str) -> None:
        """Keep an error of asyncdsm from the program: count it, and log `message % error` once a minute by `key`."""


class BaseRecorder(Recorder):
    """Names points, checks values and reports errors. Where checkpoints and offsets go is its subclasses' part."""

    def __init__(
        self,
        service: str,
        env: str | None,
        *,
        max_header_bytes: int = 256,
        now: Callable[[], int] = time_ns,
        counters: Counters | None = None,
    ) -> None:
        self.id: int = next(_ids)
        self.service: str = service
        self.env: str | None = env
        self.max_header_bytes: int = max_header_bytes
        self.now: Callable[[], int] = now
        self.strict: bool = False
        self.counters: Counters = counters or Counters()
        self.facts: FactLog = FactLog(now)
        self._cycles = PathwayCycles(self.point)

    @abstractmethod
    def admit(self, point: Point) -> bool:
        """Keep a point, if there is room for one more, and say so. One without room still names its pathway."""

    @abstractmethod
    def add_offset(self, tags: tuple[str, ...], offset: int) -> None:
        """Take an offset that has been checked."""

    @abstractmethod
    def add_transaction(self, transaction_id: bytes, checkpoint: str) -> None:
        """Take a transaction's checkpoint that has been checked."""

    def stats(self) -> Stats:
        """Return the counters as they are now."""
        return self.counters.to_stats()

    def point(self, edge: Edge, parent: int) -> Point:
        """Return the point of a pathway with the hash `parent` on an edge, and make it at the first time.

        An edge's points belong to one recorder: another one drops them, since hashes depend on the service.
        """
        if edge.owner != self.id:
            edge.change_owner(self.id, node_hash(self.service, self.env, edge.tags))
        point = edge.find_point(self.id, parent)
        if point is None:
            point = Point(edge, pathway_hash(edge.node, parent), parent)
            if self.admit(point):
                point = edge.add_point(point)
        return point

    def find_produce_point(self, edge: Edge, parent: int) -> Point:
        """Return the point of a message produced on an edge that has no point for `parent` yet."""
        return self._cycles.find_produce_point(edge, parent)

    def find_consume_point(self, edge: Edge, parent: int) -> Point:
        """Return the point of a message consumed on an edge that has no point for `parent` yet."""
        return self._cycles.find_consume_point(edge, parent)

    def record_offset(self, tags: tuple[str, ...], offset: object) -> None:
        """Record a Kafka offset under the sorted tags of a backlog (protocol §6); the highest in a bucket wins.

        Anything but an offset (`values.check_offset`) is counted as malformed. Never raises.
        """
        try:
            number = check_offset(offset)
        except MalformedValueError as error:
            self.report_malformed(error)
        else:
            self.add_offset(tags, number)

    def record_transaction(self, transaction_id: object, checkpoint: object) -> None:
        """Record that a business transaction passes a named checkpoint now.

        An id or a name that is not a string, or is empty, is counted as malformed. Never raises.
        """
        try:
            checked = check_transaction(transaction_id, checkpoint)
        except MalformedValueError as error:
            self.report_malformed(error)
        else:
            self.add_transaction(*checked)

    def report_malformed(self, error: MalformedValueError) -> None:
        """Count a value from outside that could not be used, and log it once a minute. Never raises."""
        self.counters.increment("malformed")
        warn_each_minute("malformed", "asyncdsm left out a value that it cannot use: %s", str(error), error=error)

    def report_error(self, error: Exception, key: str, message: str) -> None:
        """Keep an error of asyncdsm from the program: it is counted and logged once a minute. Under test it is raised.

        A malformed value is no such error, and is not raised under test either.
        """
        if isinstance(error, MalformedValueError):
            self.report_malformed(error)
            return
        if self.strict:
            raise error
        self.counters.increment("errors")
        warn_each_minute(key, message, error, error=error)


def report_hook_error(recorder: Recorder | None, error: Exception) -> None:
    """Keep an error of asyncdsm from the program: it is counted, and logged once a minute. Under test it is raised.

    Without a recorder, while nothing measures, it is logged only.
    """
    if recorder is None:
        warn_each_minute("hook", _HOOK_FAILED, error, error=error)
    else:
        recorder.report_error(error, "hook", _HOOK_FAILED)
