"""What has been measured and not been sent yet: samples, folded into time buckets.

A checkpoint appends one sample to a list, which any thread may do without a lock. Whoever finds the list long folds
it: counts every sample into its bucket, under a lock that nobody waits for. So nothing is lost between threads, and no
bucket is ever changed while it is sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from math import e, floor, log2
from threading import Lock
from time import time_ns
from typing import Final

from asyncdsm._internal.log import warn_each_minute
from asyncdsm.core.bucket import KEY_BITS, LOG_BETWEEN_PAUSES, PATHWAY, SELDOM, Bucket, SizeKeys
from asyncdsm.core.counters import Accounts, Stats
from asyncdsm.core.cycles import Circles
from asyncdsm.core.edge import NOT_KEPT, Point
from asyncdsm.core.histogram import MULTIPLIER, OFFSET
from asyncdsm.core.values import check_offset
from asyncdsm.errors import MalformedValueError

FOLD_AT = 256
"""Samples that are folded at once: about 0.1 ms of work."""

Sample = tuple[Point, int, int, int, int | None]
"""Point, time of the checkpoint, edge latency, pathway latency (all ns), payload size in bytes if known."""
Offset = tuple[tuple[str, ...], int, int]
"""Sorted tags of a backlog, time, offset."""

# The bin of a latency in ns (`bins.bin_of` of its seconds) is floor(log2(ns) * SCALE + SHIFT), 1 or more: 37 ns, where
# int(log(seconds) / log(gamma) + offset) takes 96.
_SCALE: Final = MULTIPLIER / log2(e)
_SHIFT: Final = OFFSET + log2(1e-9) * _SCALE

_size_keys = SizeKeys()


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
        self.circles: Circles = Circles()
        self.samples: list[Sample] = []
        self.offsets: deque[Offset] = deque()
        self._buckets: dict[int, Bucket] = {}
        self._alive: set[Point] = set()
        self._lock = Lock()
        self._refused = 0

    def record(self, sample: Sample) -> None:
        """Take one sample: an append, and a fold every 256th time. The hot path does so itself, 50 ns sooner."""
        self.samples.append(sample)
        if len(self.samples) >= FOLD_AT:
            self.fold()

    def record_offset(self, tags: tuple[str, ...], offset: object) -> None:
        """Record a Kafka offset under the sorted tags of a backlog (protocol §6); the highest in a bucket wins.

        What is no offset (`values.check_offset`) is counted as malformed. Never raises.
        """
        try:
            number = check_offset(offset)
        except MalformedValueError as error:
            self.report_malformed(error)
        else:
            self._add_offset(tags, number)

    def report_malformed(self, error: MalformedValueError) -> None:
        """Count a value from outside that could not be used, and log it once a minute. Never raises."""
        self.accounts.note("malformed")
        warn_each_minute("malformed", "asyncdsm left out a value that it cannot use: %s", str(error), error=error)

    def failed(self, error: Exception, key: str, message: str) -> None:
        """Keep an error of asyncdsm from the program: it is counted and logged once a minute. Under test it is raised.

        A malformed value is no such error, and is not raised under test either.
        """
        if isinstance(error, MalformedValueError):
            self.report_malformed(error)
            return
        if self.strict:
            raise error
        self.accounts.note("errors")
        warn_each_minute(key, message, error, error=error)

    def keep(self, point: Point) -> bool:
        """Keep one more point, if there is room; without, it still names the pathway, but its samples are dropped."""
        if len(self._alive) < self.max_points:
            self._alive.add(point)
            point.seen = 0
        return point.seen != NOT_KEPT

    def fold(self) -> None:
        """Count the waiting samples into their buckets, unless another thread is at it."""
        if self._lock.acquire(blocking=False):
            try:
                self._fold()
            finally:
                self._lock.release()

    def take(self, before_ns: int | None = None, pause: Callable[[], object] = bool) -> list[Bucket]:
        """Return the buckets that ended at or before `before_ns` (None: all), oldest first, and forget them.

        One from the future has ended too: the clock was set back, and may not come there again for hours. With many
        points that is slow work, which calls `pause` now and then.
        """
        with self._lock:
            self._fold()
            ended = [start for start in self._buckets if before_ns is None or self._is_over(start, before_ns)]
            taken = [self._buckets.pop(start) for start in sorted(ended)]
        if taken:
            self._forget_idle(taken, pause)
        return taken

    def _is_over(self, start_ns: int, now_ns: int) -> bool:
        return not now_ns - self.bucket_ns < start_ns <= now_ns + self.bucket_ns

    def stats(self) -> Stats:
        """Return the accounts as they are now."""
        with self._lock:
            self._fold()
            return self.accounts.snapshot(len(self.samples))

    def _fold(self) -> None:
        samples = self.samples[:]
        del self.samples[: len(samples)]  # what other threads have appended meanwhile stands behind
        waiting = iter(samples)
        before, self._refused = self._counted(), 0
        try:
            self._count_each(waiting)
        finally:  # a KeyboardInterrupt too may break it off: what it left waits again, the accounts stay even
            left = list(waiting)
            self.samples[:0] = left
            self._level()
            taken = len(samples) - len(left)
            self.accounts.record(taken)
            self.accounts.drop("points", self._refused)
            self.accounts.drop("counting", taken - self._refused - (self._counted() - before))
            malformed, _size_keys.malformed = _size_keys.malformed, 0
            self.accounts.note("malformed", malformed)
        self._fold_offsets()

    def _count_each(self, samples: Iterator[Sample]) -> None:
        """Count samples into their buckets; one that breaks it off is dropped, and the rest goes on."""
        while True:
            try:
                return self._count(samples)
            except Exception as error:
                self._level()
                self.failed(error, "counting", "a checkpoint could not be counted and is lost: %r")

    def _level(self) -> None:
        for bucket in self._buckets.values():
            bucket.level()

    def _counted(self) -> int:
        return sum(bucket.recorded for bucket in self._buckets.values())

    def _count(self, samples: Iterator[Sample]) -> None:
        """Count samples into their buckets. **Hot**."""
        bucket, start, end = Bucket(0), 0, 0
        often, note_point, note_keys = bucket.often, bucket.seldom.append, bucket.seldom_keys.append
        for point, now, edge_ns, pathway_ns, size in samples:
            if not start <= now < end:
                bucket = self._bucket(now)
                start, end = bucket.start_ns, bucket.start_ns + self.bucket_ns
                often, note_point, note_keys = bucket.often, bucket.seldom.append, bucket.seldom_keys.append
            edge = floor(log2(edge_ns) * _SCALE + _SHIFT) if edge_ns > 0 else 0
            if pathway_ns == edge_ns:  # the first hop of a pathway is all of it
                pathway = edge + PATHWAY
            else:
                pathway = (floor(log2(pathway_ns) * _SCALE + _SHIFT) if pathway_ns > 0 else 0) + PATHWAY
            size_key = _size_keys[size]
            counts = often.get(point)
            if counts is not None:
                counts[edge] = counts.get(edge, 0) + 1
                counts[pathway] = counts.get(pathway, 0) + 1
                if size_key:
                    counts[size_key] = counts.get(size_key, 0) + 1
            elif (seen := point.seen) != NOT_KEPT:
                note_point(point)
                note_keys(edge | pathway << KEY_BITS | size_key << 2 * KEY_BITS)
                if seen < SELDOM:
                    point.seen = seen + 1
                else:
                    point.seen, often[point] = 0, {}
            else:
                self._refused += 1
                continue
            bucket.recorded += 1

    def _add_offset(self, tags: tuple[str, ...], offset: int) -> None:
        self.offsets.append((tags, self.now(), offset))
        if len(self.offsets) >= FOLD_AT:
            self.fold()

    def _fold_offsets(self) -> None:
        for _ in range(len(self.offsets)):
            try:
                self._fold_offset(*self.offsets.popleft())
            except Exception as error:  # one entry is lost, the others are counted
                self.failed(error, "offset", "an offset could not be counted and is lost: %r")

    def _fold_offset(self, tags: tuple[str, ...], now: int, offset: int) -> None:
        backlogs = self._bucket(now).backlogs
        if tags in backlogs or len(backlogs) < self.max_points:
            backlogs[tags] = max(offset, backlogs.get(tags, offset))

    def _bucket(self, now: int) -> Bucket:
        start = now - now % self.bucket_ns
        bucket = self._buckets.get(start)
        if bucket is None:
            bucket = self._buckets[start] = Bucket(start)
        return bucket

    def _forget_idle(self, taken: list[Bucket], pause: Callable[[], object]) -> None:
        """Forget points that nothing passed lately, so that the bound is on those in use, not on those ever met."""
        used = set[Point]()
        for bucket in (*taken, *self._buckets.copy().values()):
            bucket.add_points(used, pause)
        alive = iter(list(self._alive))
        while some := list(islice(alive, LOG_BETWEEN_PAUSES)):
            for point in some:
                if point not in used:
                    point.edge.points.pop(point.parent, None)
                    self._alive.discard(point)
            pause()
