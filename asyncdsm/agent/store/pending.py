"""What was taken and is not in the file's segments yet, in memory; the file's journal has the same, as it came."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from asyncdsm.agent.intake.payload import Report
from asyncdsm.agent.store.histograms import Histograms, concat, merge
from asyncdsm.agent.store.merger import Rows
from asyncdsm.agent.store.offsets import Backlog, Latest, Tags
from asyncdsm.agent.store.registry import PointKey, PointRegistry
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS
from asyncdsm.agent.store.weights import weight_of

SECOND_NS = 1_000_000_000
AHEAD_SECONDS = 60
"""A bucket that starts further ahead of now, and of all others, comes from a clock that is wrong: taken as of now."""


class Pending:
    """Histograms by slot, which is a point during ten seconds; and the highest offset of each backlog during them."""

    def __init__(self, newest: int, latest: Latest) -> None:
        """`newest` is when the newest row so far starts; `latest` learns of each offset at once."""
        self.newest: int = newest
        self.slots: dict[tuple[int, int], int] = {}
        self.offsets: dict[tuple[Tags, int], int] = {}
        self.last_seen: dict[tuple[str, str], float] = {}
        self.counted: dict[str, int] = {"payloads": 0, "ignored_rows": 0, "clamped_buckets": 0}
        self.cells: int = 0
        self.offsets_weight: int = 0
        """What the tags of `offsets` weigh."""
        self._latest, self._parts = latest, list[Histograms]()

    def __bool__(self) -> bool:
        return bool(self.counted["payloads"])

    def add(self, report: Report, received: float, kept_seconds: int, points: PointRegistry) -> None:
        """Add what was received at a time (seconds). Buckets that are too old are ignored, and counted.

        Old is what is far from the newest row, too: a clock of ours that is ahead makes nothing old.
        """
        self.counted["payloads"] += 1
        self.last_seen[report.service, report.env] = received
        service = points.service(report.service, report.env)
        starts = [self._start(bucket.start_ns, received) for bucket in report.buckets]
        self._raise_newest(starts, report, received)
        oldest = min(int(received), self.newest) - kept_seconds
        slots = list[int]()
        for start, bucket in zip(starts, report.buckets, strict=True):
            if start < oldest:
                self.counted["ignored_rows"] += len(bucket.points)
                slots += [-1] * len(bucket.points)
                continue
            for point in bucket.points:
                number = points.point(PointKey(report.service, report.env, *point), service)
                slots.append(self.slots.setdefault((start, number), len(self.slots)))
            for tags, value in bucket.backlogs:
                if (tags, start) not in self.offsets:
                    self.offsets_weight += weight_of(tags)
                self.offsets[tags, start] = max(value, self.offsets.get((tags, start), value))
                self._latest.note(tags, Backlog(start, value), service)
        slot_of = np.array(slots, np.int64)
        cells = report.cells if -1 not in slots else report.cells.select_groups(slot_of >= 0)
        if len(cells.keys):
            self._parts.append(cells.relabel(slot_of))
            self.cells += len(cells.keys)

    def rows(self) -> Rows:
        """Return what waits, merge."""
        if len(self._parts) > 1:
            self._parts = [merge(*self._parts)]
            self.cells = len(self._parts[0].keys)
        keys = np.array(list(self.slots), np.int64).reshape(-1, 2)
        return Rows(keys[:, 0], keys[:, 1], concat(self._parts))

    def _raise_newest(self, starts: Iterable[int], report: Report, received: float) -> None:
        # Buckets that creep ahead, each a little, or that have nothing in them must not move the clock of all others.
        used = (start for start, bucket in zip(starts, report.buckets, strict=True) if bucket.points or bucket.backlogs)
        self.newest = max(self.newest, min(max(used, default=0), int(received) + AHEAD_SECONDS))

    def _start(self, start_ns: int, received: float) -> int:
        start, latest = start_ns // SECOND_NS, max(int(received), self.newest)
        if start > latest + AHEAD_SECONDS:
            self.counted["clamped_buckets"] += 1
            start = latest
        return start // BUCKET_SECONDS * BUCKET_SECONDS
