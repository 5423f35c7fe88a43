"""What has been measured and not been sent yet: samples, folded into time buckets.

A checkpoint appends one sample to a list, which any thread may do without a lock. Whoever finds the list long folds
it: every sample is counted in its bucket, under a lock that nobody waits for. So nothing is lost between threads, and
no bucket changes while it is sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from math import e, floor, log2
from threading import Lock
from time import time_ns
from typing import Final

from asyncdsm.core.bucket import KEY_BITS, LOG_BETWEEN_PAUSES, PATHWAY, SPARSE_LIMIT, Bucket, SizeKeys, no_pause
from asyncdsm.core.counters import Counters, Stats
from asyncdsm.core.edge import NOT_ADMITTED, Point
from asyncdsm.core.histogram import MULTIPLIER, OFFSET
from asyncdsm.core.recorder import FOLD_AT, BaseRecorder, Sample

Offset = tuple[tuple[str, ...], int, int]
"""Sorted tags of a backlog, time, offset."""

# The bin of a latency in ns (`histogram.bin_index` of its seconds) is floor(log2(ns) * SCALE + SHIFT), 1 or more:
# 37 ns, where int(log(seconds) / log(gamma) + offset) takes 96.
_SCALE: Final = MULTIPLIER / log2(e)
_SHIFT: Final = OFFSET + log2(1e-9) * _SCALE

_size_keys = SizeKeys()


class Aggregator(BaseRecorder):
    """Takes samples from any thread; gives out finished buckets.

    What the buckets given out have recorded, plus what waits here, plus what was dropped, is what was recorded:
    `counters` keeps the balance.
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
        counters: Counters | None = None,
    ) -> None:
        """`now` gives nanoseconds since the epoch."""
        super().__init__(
            service, env, bucket_ns=bucket_ns, max_header_bytes=max_header_bytes, now=now, counters=counters
        )
        self.max_points: int = max_points
        self.offsets: deque[Offset] = deque()
        self._buckets: dict[int, Bucket] = {}
        self._alive: set[Point] = set()
        self._lock = Lock()
        self._not_admitted = 0

    def admit(self, point: Point) -> bool:
        """Admit one more point if there is room. Without room it still names its pathway; its samples are dropped."""
        if len(self._alive) < self.max_points:
            self._alive.add(point)
            point.seen = 0
        return point.seen != NOT_ADMITTED

    def add_offset(self, tags: tuple[str, ...], offset: int) -> None:
        """Take an offset that has been checked."""
        self.offsets.append((tags, self.now(), offset))
        if len(self.offsets) >= FOLD_AT:
            self.fold()

    def fold(self) -> None:
        """Count the waiting samples into their buckets, unless another thread is doing so."""
        if self._lock.acquire(blocking=False):
            try:
                self._fold()
            finally:
                self._lock.release()

    def take(self, before_ns: int | None = None, pause: Callable[[], object] = no_pause) -> list[Bucket]:
        """Return the buckets that ended at or before `before_ns` (None: all), oldest first, and forget them.

        One from the future has ended too: the clock was set back, and may not come there again for hours. With many
        points that is slow work, which calls `pause` now and then.
        """
        with self._lock:
            self._fold()
            ended = [start for start in self._buckets if before_ns is None or self._has_ended(start, before_ns)]
            taken = [self._buckets.pop(start) for start in sorted(ended)]
        if taken:
            self._forget_idle(taken, pause)
        return taken

    def _has_ended(self, start_ns: int, now_ns: int) -> bool:
        return not now_ns - self.bucket_ns < start_ns <= now_ns + self.bucket_ns

    def stats(self) -> Stats:
        """Return the counters as they are now."""
        with self._lock:
            self._fold()
            return self.counters.to_stats(len(self.samples))

    def _fold(self) -> None:
        samples = self.samples[:]
        del self.samples[: len(samples)]  # what other threads appended meanwhile stays
        waiting = iter(samples)
        before, self._not_admitted = self._count_recorded(), 0
        try:
            self._count_all(waiting)
        finally:  # a KeyboardInterrupt too may break it off: what is left waits again, and the balance holds
            left = list(waiting)
            self.samples[:0] = left
            self._truncate_logs()
            taken = len(samples) - len(left)
            self.counters.record(taken)
            self.counters.drop("points", self._not_admitted)
            self.counters.drop("counting", taken - self._not_admitted - (self._count_recorded() - before))
            malformed, _size_keys.malformed = _size_keys.malformed, 0
            self.counters.increment("malformed", malformed)
        self._fold_offsets()

    def _count_all(self, samples: Iterator[Sample]) -> None:
        """Count samples into their buckets; one that breaks it off is dropped, and the rest goes on."""
        while True:
            try:
                return self._count_into_buckets(samples)
            except Exception as error:
                self._truncate_logs()
                self.report_error(error, "counting", "asyncdsm could not count a checkpoint, which is lost: %r")

    def _truncate_logs(self) -> None:
        for bucket in self._buckets.values():
            bucket.truncate_log()

    def _count_recorded(self) -> int:
        return sum(bucket.recorded for bucket in self._buckets.values())

    def _count_into_buckets(self, samples: Iterator[Sample]) -> None:
        """Count samples into their buckets. **Hot**."""
        bucket, start, end = Bucket(0), 0, 0
        dense, add_point, add_keys = bucket.dense, bucket.sparse_points.append, bucket.sparse_keys.append
        for point, now, edge_ns, pathway_ns, size in samples:
            if not start <= now < end:
                bucket = self._bucket_at(now)
                start, end = bucket.start_ns, bucket.start_ns + self.bucket_ns
                dense, add_point, add_keys = bucket.dense, bucket.sparse_points.append, bucket.sparse_keys.append
            edge = floor(log2(edge_ns) * _SCALE + _SHIFT) if edge_ns > 0 else 0
            if pathway_ns == edge_ns:  # the first hop of a pathway is all of it
                pathway = edge + PATHWAY
            else:
                pathway = (floor(log2(pathway_ns) * _SCALE + _SHIFT) if pathway_ns > 0 else 0) + PATHWAY
            size_key = _size_keys[size]
            counts = dense.get(point)
            if counts is not None:
                counts[edge] = counts.get(edge, 0) + 1
                counts[pathway] = counts.get(pathway, 0) + 1
                if size_key:
                    counts[size_key] = counts.get(size_key, 0) + 1
            elif (seen := point.seen) != NOT_ADMITTED:
                add_point(point)
                add_keys(edge | pathway << KEY_BITS | size_key << 2 * KEY_BITS)
                if seen < SPARSE_LIMIT:
                    point.seen = seen + 1
                else:
                    point.seen, dense[point] = 0, {}
            else:
                self._not_admitted += 1
                continue
            bucket.recorded += 1

    def _fold_offsets(self) -> None:
        for _ in range(len(self.offsets)):
            try:
                self._fold_offset(*self.offsets.popleft())
            except Exception as error:  # one entry is lost, the others are counted
                self.report_error(error, "offset", "asyncdsm could not count an offset, which is lost: %r")

    def _fold_offset(self, tags: tuple[str, ...], now: int, offset: int) -> None:
        backlogs = self._bucket_at(now).backlogs
        if tags in backlogs or len(backlogs) < self.max_points:
            backlogs[tags] = max(offset, backlogs.get(tags, offset))

    def _bucket_at(self, now: int) -> Bucket:
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
