"""What has been measured and not been sent yet: samples, folded into time buckets.

A checkpoint appends one sample to a deque, which any thread may do without a lock. Whoever finds the deque long
folds it: counts every sample into its bucket, under a lock that nobody waits for. So nothing is lost between
threads, and no bucket is ever changed while it is sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import lru_cache
from math import log
from threading import Lock
from time import time_ns
from typing import Final

from asyncdsm.bins import MULTIPLIER, OFFSET, ZERO, bin_of
from asyncdsm.edge import Point
from asyncdsm.log import warn_each_minute
from asyncdsm.stats import Accounts, Stats

FOLD_AT = 256
"""Samples that are folded at once: about 0.3 ms of work."""

# The three sketches of a point are one dict of counts: edge latencies as they are, the others shifted to ranges of
# their own. It takes the memory of one dict, not of three.
PATHWAY, SIZE = 1 << 22, 1 << 23

Sample = tuple[Point, int, int, int, int | None]
"""Point, time of the checkpoint, edge latency, pathway latency (all ns), payload size in bytes if known."""
Offset = tuple[tuple[str, ...], int, int]
"""Sorted tags of a backlog, time, offset."""

_NS: Final = 1e-9


@lru_cache(4096)
def _size_key(size: int) -> int:
    return SIZE + bin_of(size)


class Bucket:
    """Ten seconds of what passed, aligned to the epoch."""

    __slots__ = ("backlogs", "points", "recorded", "start_ns")

    def __init__(self, start_ns: int) -> None:
        self.start_ns: int = start_ns
        self.points: dict[Point, dict[int, int]] = {}
        self.backlogs: dict[tuple[str, ...], int] = {}
        self.recorded: int = 0


class Aggregator:
    """Takes samples from any thread; gives out finished buckets.

    The sum of `recorded` over the buckets given out, plus what waits here, plus what was dropped, is what was
    recorded: `accounts` keeps it.
    """

    def __init__(
        self,
        service: str,
        env: str | None,
        *,
        bucket_ns: int = 10_000_000_000,
        max_points: int = 10_000,
        max_header_bytes: int = 256,
        now: Callable[[], int] = time_ns,
        accounts: Accounts | None = None,
    ) -> None:
        """`now` gives nanoseconds since the epoch."""
        self.service: str = service
        self.env: str | None = env
        self.bucket_ns: int = bucket_ns
        self.max_points: int = max_points
        self.max_header_bytes: int = max_header_bytes
        self.now: Callable[[], int] = now
        self.strict: bool = False  # under test: errors of ours are raised, not kept from the program
        self.accounts: Accounts = accounts or Accounts()
        self.samples: deque[Sample] = deque()
        self.offsets: deque[Offset] = deque()
        self._buckets: dict[int, Bucket] = {}
        self._alive: set[Point] = set()
        self._lock = Lock()

    def record(self, sample: Sample) -> None:
        """Take one sample. **Hot**: an append, and a fold every 256th time."""
        self.samples.append(sample)
        if len(self.samples) >= FOLD_AT:
            self.fold()

    def record_offset(self, tags: tuple[str, ...], offset: int) -> None:
        """Note a Kafka offset under the sorted tags of a backlog (protocol §6); the highest in a bucket wins."""
        self.offsets.append((tags, self.now(), offset))
        if len(self.offsets) >= FOLD_AT:
            self.fold()

    def failed(self, error: Exception, key: str, message: str) -> None:
        """Keep an error of ours from the program: counted, and said once a minute. Under test it is raised."""
        if self.strict:
            raise error
        self.accounts.note("errors")
        warn_each_minute(key, message, error)

    def keep(self, point: Point) -> bool:
        """Keep one more point, if there is room; without, it still names the pathway, but its samples are dropped."""
        if len(self._alive) < self.max_points:
            self._alive.add(point)
            point.kept = True
        return point.kept

    def fold(self) -> None:
        """Count the waiting samples into their buckets, unless another thread is at it."""
        if self._lock.acquire(blocking=False):
            try:
                self._fold()
            finally:
                self._lock.release()

    def take(self, before_ns: int | None = None) -> list[Bucket]:
        """Return the buckets that ended at or before `before_ns` (None: all), oldest first, and forget them.

        One from the future has ended too: the clock was set back, and may not come there again for hours.
        """
        with self._lock:
            self._fold()
            ended = [start for start in self._buckets if before_ns is None or self._is_over(start, before_ns)]
            taken = [self._buckets.pop(start) for start in sorted(ended)]
            if taken:
                self._forget_idle(taken)
            return taken

    def _is_over(self, start_ns: int, now_ns: int) -> bool:
        return not now_ns - self.bucket_ns < start_ns <= now_ns + self.bucket_ns

    def stats(self) -> Stats:
        """Return the accounts as they are now."""
        with self._lock:
            self._fold()
            return self.accounts.snapshot(len(self.samples))

    def _fold(self) -> None:
        left = len(self.samples)
        while left > 0:
            left -= self._count(left)
        self._fold_offsets()

    def _count(self, most: int) -> int:
        """Count samples into their buckets; return how many. One that breaks it off is dropped, the rest goes on."""
        samples, before = self.samples, self._counted()
        pop, bucket, end = samples.popleft, Bucket(0), 0
        taken = dropped = 0
        try:
            for taken in range(1, most + 1):  # noqa: B007  (used where it breaks off)
                point, now, edge_ns, pathway_ns, size = pop()
                if not bucket.start_ns <= now < end:
                    bucket = self._bucket(now)
                    end = bucket.start_ns + self.bucket_ns
                counts = bucket.points.get(point)
                if counts is None:
                    if not point.kept or len(bucket.points) >= self.max_points:
                        dropped += 1
                        continue
                    counts = bucket.points[point] = {}
                key = int(log(edge_ns * _NS) * MULTIPLIER + OFFSET) if edge_ns > 0 else ZERO
                counts[key] = counts.get(key, 0) + 1
                if pathway_ns != edge_ns:  # the first hop of a pathway is all of it
                    key = int(log(pathway_ns * _NS) * MULTIPLIER + OFFSET) if pathway_ns > 0 else ZERO
                key += PATHWAY
                counts[key] = counts.get(key, 0) + 1
                if size is not None:
                    key = _size_key(size)
                    counts[key] = counts.get(key, 0) + 1
                bucket.recorded += 1
        except Exception as error:
            self.failed(error, "counting", "a checkpoint could not be counted and is lost: %r")
        finally:  # a KeyboardInterrupt too breaks it off anywhere: the accounts stay even
            self.accounts.record(taken)
            self.accounts.drop("points", dropped)
            self.accounts.drop("counting", taken - dropped - (self._counted() - before))
        return taken

    def _counted(self) -> int:
        return sum(bucket.recorded for bucket in self._buckets.values())

    def _fold_offsets(self) -> None:
        for _ in range(len(self.offsets)):
            tags, now, offset = self.offsets.popleft()
            backlogs = self._bucket(now).backlogs
            if tags in backlogs or len(backlogs) < self.max_points:
                backlogs[tags] = max(offset, backlogs.get(tags, offset))

    def _bucket(self, now: int) -> Bucket:
        start = now - now % self.bucket_ns
        bucket = self._buckets.get(start)
        if bucket is None:
            bucket = self._buckets[start] = Bucket(start)
        return bucket

    def _forget_idle(self, taken: list[Bucket]) -> None:
        """Forget points that nothing passed lately, so that the bound is on those in use, not on those ever met."""
        used = set().union(*(bucket.points for bucket in (*taken, *self._buckets.values())))
        idle = self._alive - used
        for point in idle:
            point.edge.points.pop(point.parent, None)
        self._alive -= idle
