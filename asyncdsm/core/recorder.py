"""What takes checkpoints: the interface that the hot path calls, and what its implementations have in common.

`Aggregator` counts checkpoints into buckets; `asyncdsm.testing.Captured` keeps each of them for a test to look at.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from time import time_ns
from typing import Protocol

from asyncdsm._internal.log import warn_each_minute
from asyncdsm.core.counters import Counters, Stats
from asyncdsm.core.cycles import PathwayCycles
from asyncdsm.core.edge import Edge, Point
from asyncdsm.core.pathway import node_hash, pathway_hash
from asyncdsm.core.values import check_offset
from asyncdsm.errors import MalformedValueError

FOLD_AT = 256
"""How many samples are folded at once: about 0.1 ms of work."""

Sample = tuple[Point, int, int, int, int | None]
"""Point, time of the checkpoint, edge latency, pathway latency (all ns), payload size in bytes if known."""


class Recorder(Protocol):
    """Takes the checkpoints of this process."""

    now: Callable[[], int]
    """The clock, in nanoseconds since the epoch."""
    bucket_ns: int
    max_header_bytes: int
    strict: bool
    """Under test: errors of asyncdsm are raised, not kept from the program."""
    samples: list[Sample]
    """Checkpoints append here. Whoever makes the list `FOLD_AT` long calls `fold`."""
    counters: Counters

    def fold(self) -> None:
        """Process the samples."""

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

    def report_malformed(self, error: MalformedValueError) -> None:
        """Count a value from outside that could not be used. Never raises."""

    def report_error(self, error: Exception, key: str, message: str) -> None:
        """Keep an error of asyncdsm from the program: count it, and log `message % error` once a minute by `key`."""


class BaseRecorder(Recorder):
    """Names points, checks offsets and reports errors. What becomes of samples and offsets is its subclasses' part."""

    def __init__(
        self,
        service: str,
        env: str | None,
        *,
        bucket_ns: int = 10_000_000_000,
        max_header_bytes: int = 256,
        now: Callable[[], int] = time_ns,
        counters: Counters | None = None,
    ) -> None:
        self.service: str = service
        self.env: str | None = env
        self.bucket_ns: int = bucket_ns
        self.max_header_bytes: int = max_header_bytes
        self.now: Callable[[], int] = now
        self.strict: bool = False
        self.counters: Counters = counters or Counters()
        self.samples: list[Sample] = []
        self._cycles = PathwayCycles(self.point)

    def record(self, sample: Sample) -> None:
        """Take one sample. The hot path does this itself, 50 ns sooner."""
        self.samples.append(sample)
        if len(self.samples) >= FOLD_AT:
            self.fold()

    @abstractmethod
    def fold(self) -> None:
        """Process the samples, unless another thread does."""

    @abstractmethod
    def admit(self, point: Point) -> bool:
        """Say whether there is room for one more point. One that is not admitted still names its pathway."""

    @abstractmethod
    def add_offset(self, tags: tuple[str, ...], offset: int) -> None:
        """Take an offset that has been checked."""

    def stats(self) -> Stats:
        """Return the counters as they are now."""
        self.fold()
        return self.counters.to_stats(len(self.samples))

    def point(self, edge: Edge, parent: int) -> Point:
        """Return the point of a pathway with the hash `parent` on an edge, and make it at the first time.

        An edge's points belong to one recorder: another one drops them, since hashes depend on the service.
        """
        if edge.owner is not self:
            edge.node = node_hash(self.service, self.env, edge.tags)
            edge.points, edge.owner = {}, self
        point = edge.points.get(parent)
        if point is None:
            point = Point(edge, pathway_hash(edge.node, parent), parent)
            if self.admit(point):
                point = edge.points.setdefault(parent, point)
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
