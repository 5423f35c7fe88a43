"""A bucket: the counts of ten seconds, until they are sent."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from itertools import islice
from time import sleep

from asyncdsm.core.edge import Point
from asyncdsm.core.histogram import ZERO, bin_index

# The three sketches of a point are one dict of counts: the bins of edge latencies as they are, those of pathway
# latencies and sizes shifted to ranges of their own. Bins of ns and bytes are 1 to 4095; 0 is for values of zero.
PATHWAY, SIZE = 1 << 12, 1 << 13
KEY_BITS = 14
_KEY = (1 << KEY_BITS) - 1

SPARSE_LIMIT = 32
"""A point with fewer checkpoints in a bucket has no dict of its own: its checkpoints are entries of a log that all
such points share, 16 bytes each. Three of them in a dict take 350; and with 100,000 points, counting one touches no
memory far away."""

LOG_BETWEEN_PAUSES = 512
"""How many entries of a log take about 0.1 ms."""
PAUSE_SECONDS = 50e-6

Counts = dict[int, int]


def no_pause() -> None:
    """Do nothing, where `yield_gil` is not needed."""


def yield_gil() -> None:
    """Let other threads run, between two pieces of slow work in a worker thread.

    A thread that computes holds the interpreter lock for 5 ms at a time, and the event loop waits, unless it yields.
    """
    sleep(PAUSE_SECONDS)


class SizeKeys(dict[object, int]):
    """The keys of payload sizes, cached; 0 for an unknown or malformed size."""

    malformed: int = 0
    """How many sizes were malformed: not a whole number, or negative."""

    def __missing__(self, size: object) -> int:
        if len(self) >= 4096:
            self.clear()
        if size is None:
            key = self[size] = 0
            return key
        if not isinstance(size, int) or size < 0:
            self.malformed += 1
            return 0
        key = self[size] = SIZE + _key_bin(bin_index(size))
        return key


class Bucket:
    """The checkpoints and offsets of a few seconds, aligned to the epoch."""

    __slots__ = ("backlogs", "dense", "recorded", "sparse_keys", "sparse_points", "start_ns")

    def __init__(self, start_ns: int) -> None:
        self.start_ns: int = start_ns
        self.dense: dict[Point, Counts] = {}
        self.sparse_points: list[Point] = []
        self.sparse_keys: array[int] = array("q")
        """The three keys of each checkpoint in `sparse_points`, packed into one number."""
        self.backlogs: dict[tuple[str, ...], int] = {}
        self.recorded: int = 0

    def add_points(self, points: set[Point], pause: Callable[[], object]) -> None:
        """Add to a set the points that were counted here. Slow work, which calls `pause` now and then."""
        points.update(self.dense.copy())
        for start in range(0, len(self.sparse_points), LOG_BETWEEN_PAUSES):
            points.update(self.sparse_points[start : start + LOG_BETWEEN_PAUSES])
            pause()

    def truncate_log(self) -> None:
        """Make the two lists of the log equally long, after an error between the two appends."""
        shorter = min(len(self.sparse_points), len(self.sparse_keys))
        del self.sparse_points[shorter:], self.sparse_keys[shorter:]

    def points(self, pause: Callable[[], object] = no_pause) -> dict[Point, Counts]:
        """Return the counts of all points. Slow work, which calls `pause` now and then."""
        log = zip(self.sparse_points, self.sparse_keys, strict=True)
        while entries := list(islice(log, LOG_BETWEEN_PAUSES)):
            for point, packed in entries:
                counts = self.dense.setdefault(point, {})
                edge, pathway, size = packed & _KEY, packed >> KEY_BITS & _KEY, packed >> 2 * KEY_BITS
                for key in (edge, pathway, size) if size else (edge, pathway):
                    counts[key] = counts.get(key, 0) + 1
            pause()
        self.sparse_points, self.sparse_keys = [], array("q")
        return self.dense


def split(counts: Counts) -> tuple[Counts, Counts, Counts]:
    """Return the bins of the three sketches: edge latency, pathway latency, payload size."""
    edge, pathway, size = Counts(), Counts(), Counts()
    for key, count in counts.items():
        if key >= SIZE:
            size[key - SIZE or ZERO] = count
        elif key >= PATHWAY:
            pathway[key - PATHWAY or ZERO] = count
        else:
            edge[key or ZERO] = count
    return edge, pathway, size


def _key_bin(bin_: int) -> int:
    return 0 if bin_ == ZERO else min(bin_, PATHWAY - 1)
