"""The buckets that are being filled, and the points that are counted in them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from operator import sub
from threading import RLock
from typing import Any, NamedTuple

from asyncdsm.core.plain.bucket import Bucket
from asyncdsm.core.plain.edge import Point

_POINTS_BETWEEN_PAUSES = 512
"""How many points are looked at between two pauses: about 0.1 ms of work."""


class Tallies(NamedTuple):
    """Numbers of events since the last time that somebody asked."""

    counted: int
    """Checkpoints that are in a bucket."""
    refused: int
    """Checkpoints of points for which there was no room: they are in no bucket."""
    malformed: int
    """Sizes that were not a whole number, or negative: those checkpoints count without one."""
    refused_offsets: int
    """Offsets for which there was no room: they are in no bucket."""


class Buckets:
    """Counts checkpoints from any thread, and from signal handlers; gives out finished buckets.

    Nobody waits for a lock to make a checkpoint. One that comes while another thread counts, or by a signal in the
    middle of a count in this thread, is left in a queue, and whoever is counting counts it too.
    """

    def __init__(self, bucket_ns: int, max_points: int) -> None:
        """A bucket is `bucket_ns` long; `max_points` points are counted at most."""
        self.bucket_ns: int = bucket_ns
        self.max_points: int = max_points
        self._buckets: dict[int, Bucket] = {}
        self._alive: set[Point] = set()
        self._waiting = deque[tuple[Callable[..., None], tuple[Any, ...]]]()
        self._lock = RLock()  # a signal handler may ask for the tallies in the middle of a count
        self._is_busy = False
        self._counted = self._refused = self._malformed = self._refused_offsets = 0
        self._told = (0, 0, 0, 0)

    def admit(self, point: Point) -> bool:
        """Keep a point and count its checkpoints, if there is room. Say whether there is."""
        if len(self._alive) < self.max_points:
            self._alive.add(point)
            point.is_admitted = True
        return point.is_admitted

    def count_checkpoint(self, point: Point, now: int, edge_ns: int, pathway_ns: int, size: object) -> None:
        """Count a checkpoint: its time, edge latency and pathway latency in ns, its size in bytes if that is known."""
        self._do_exclusively(self._count, point, now, edge_ns, pathway_ns, size)

    def record_offset(self, tags: tuple[str, ...], now: int, offset: int) -> None:
        """Keep an offset if it is the highest under its tags in the bucket of `now`.

        A bucket keeps offsets under `max_points` lists of tags. One under another list is counted as refused.
        """
        self._do_exclusively(self._keep_offset, tags, now, offset)

    def take(self, before_ns: int | None) -> list[Bucket]:
        """Return the buckets that ended at or before `before_ns` (None: all), oldest first, and forget them.

        One from the future has ended too: the clock was set back, and may not come there again for hours. In the middle
        of a count in this thread, no bucket is taken.
        """
        with self._lock:
            if self._is_busy:
                return []
            self._do_waiting()
            self._is_busy = True
            try:
                ended = [start for start in self._buckets if before_ns is None or self._has_ended(start, before_ns)]
                return [self._buckets.pop(start) for start in sorted(ended)]
            finally:
                self._is_busy = False

    def take_tallies(self) -> Tallies:
        """Return the numbers since the last call. In the middle of a count in this thread, without what is not done."""
        with self._lock:
            if not self._is_busy:
                self._do_waiting()
            # They are never set to zero: a count that was interrupted may be about to store one more.
            now = self._counted, self._refused, self._malformed, self._refused_offsets
            told, self._told = self._told, now
            return Tallies(*map(sub, now, told))

    def forget_idle(self, taken: Iterable[Bucket], pause: Callable[[], object]) -> None:
        """Forget the points that are neither in these buckets nor in one that is being filled.

        So the bound is on the points in use, not on those ever met. Slow work, which calls `pause` now and then.
        """
        alive = iter(list(self._alive))
        used = set[Point]().union(*(bucket.points() for bucket in (*taken, *self._buckets.copy().values())))
        while some := list(islice(alive, _POINTS_BETWEEN_PAUSES)):
            for point in some:
                if point not in used:
                    point.edge.remove_point(point)
                    self._alive.discard(point)
            pause()

    def _do_exclusively(self, work: Callable[..., None], *arguments: Any) -> None:
        self._waiting.append((work, arguments))
        while self._waiting and self._lock.acquire(blocking=False):
            try:
                if self._is_busy:
                    return  # this is a signal handler: what it has interrupted does the rest
                self._do_waiting()
            finally:
                self._lock.release()

    def _do_waiting(self) -> None:
        self._is_busy = True
        try:
            while self._waiting:
                work, arguments = self._waiting.popleft()
                work(*arguments)
        finally:
            self._is_busy = False

    def _count(self, point: Point, now: int, edge_ns: int, pathway_ns: int, size: object) -> None:
        bucket = self._bucket_at(now)
        if not point.is_admitted:
            self._refused += 1  # the bucket is there nevertheless: when it is taken, idle points make room
            return
        if size is not None and not (isinstance(size, int) and size >= 0):
            self._malformed, size = self._malformed + 1, None
        bucket.count(point, edge_ns, pathway_ns, size)
        self._counted += 1

    def _keep_offset(self, tags: tuple[str, ...], now: int, offset: int) -> None:
        backlogs = self._bucket_at(now).backlogs
        if tags in backlogs or len(backlogs) < self.max_points:
            backlogs[tags] = max(offset, backlogs.get(tags, offset))
        else:
            self._refused_offsets += 1

    def _bucket_at(self, now: int) -> Bucket:
        start = now - now % self.bucket_ns
        bucket = self._buckets.get(start)
        if bucket is None:
            bucket = self._buckets[start] = Bucket(start)
        return bucket

    def _has_ended(self, start_ns: int, now_ns: int) -> bool:
        return not now_ns - self.bucket_ns < start_ns <= now_ns + self.bucket_ns
