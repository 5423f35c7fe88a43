"""What is kept, in memory: sketches merged per point and minute, and the latest offset per backlog."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from time import time
from typing import NamedTuple

from asyncdsm.agent.intake import MAX_TIME_NS, BucketReport, PointReport, Report
from asyncdsm.sketch import Sketch

MINUTE_NS = 60_000_000_000
KEPT_MINUTES = 24 * 60
MAX_ROWS = 20_000
"""Points times minutes, of up to 48 kB each for a busy one; the oldest minutes go first."""
MAX_BACKLOGS = 100_000
MAX_SERVICES = 1_000


class PointKey(NamedTuple):
    """Which point of which service."""

    service: str
    env: str
    tags: tuple[str, ...]
    hash: int
    parent: int


class Row:
    """One point during one minute."""

    __slots__ = ("edge_latency", "pathway_latency", "payload_size")

    def __init__(self) -> None:
        self.edge_latency: Sketch = Sketch()
        self.pathway_latency: Sketch = Sketch()
        self.payload_size: Sketch = Sketch()

    def merge(self, other: Row | PointReport) -> None:
        """Add what another row or report counted."""
        self.edge_latency.merge(other.edge_latency)
        self.pathway_latency.merge(other.pathway_latency)
        self.payload_size.merge(other.payload_size)


class Backlog(NamedTuple):
    """The latest offset under these tags: for each, the highest of the newest bucket."""

    start_ns: int
    value: int


class Store:
    """Bounded: minutes older than a day, and the oldest rows beyond `max_rows`, are forgotten."""

    def __init__(
        self,
        *,
        max_rows: int = MAX_ROWS,
        kept_minutes: int = KEPT_MINUTES,
        now: Callable[[], float] = time,
    ) -> None:
        """`now` gives seconds since the epoch."""
        self._max_rows, self._kept_minutes, self._now = max_rows, kept_minutes, now
        self._minutes: OrderedDict[int, dict[PointKey, Row]] = OrderedDict()
        self._backlogs: OrderedDict[tuple[str, ...], Backlog] = OrderedDict()
        self._last_seen: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._rows, self._first_ns = 0, MAX_TIME_NS
        self._lock = Lock()
        self.payloads: int = 0
        self.forgotten_rows: int = 0
        self.ignored_rows: int = 0
        """How many payloads were taken, rows forgotten for want of room, and rows too old to be taken."""

    def add(self, report: Report) -> None:
        """Merge one report. Any thread may."""
        with self._lock:
            self.payloads += 1
            self._last_seen[report.service, report.env] = self._now()
            self._last_seen.move_to_end((report.service, report.env))
            if len(self._last_seen) > MAX_SERVICES:
                self._last_seen.popitem(last=False)
            for bucket in report.buckets:
                self._add_bucket(report, bucket)
            self._forget()

    def rows(self, minutes: int) -> tuple[dict[PointKey, Row], float]:
        """Return the rows of the last `minutes`, merged per point, and the seconds that they cover."""
        with self._lock:
            first = self._this_minute() - minutes + 1
            merged: dict[PointKey, Row] = {}
            within = [minute for minute in self._minutes if minute >= first]
            for minute in within:
                for key, row in self._minutes[minute].items():
                    merged.setdefault(key, Row()).merge(row)
            if not within:
                return merged, 0.0
            began = max(min(within) * 60, self._first_ns / 1e9)
            return merged, max(self._now() - began, 1.0)

    def backlogs(self) -> dict[tuple[str, ...], int]:
        """Return the latest offset by sorted tags."""
        with self._lock:
            return {tags: backlog.value for tags, backlog in self._backlogs.items()}

    def services(self) -> dict[tuple[str, str], float]:
        """Return when each (service, env) last reported, in seconds since the epoch."""
        with self._lock:
            return dict(self._last_seen)

    def _add_bucket(self, report: Report, bucket: BucketReport) -> None:
        minute = bucket.start_ns // MINUTE_NS
        if not self._this_minute() - self._kept_minutes < minute <= self._this_minute() + 1:
            self.ignored_rows += len(bucket.points)
            return
        self._first_ns = min(self._first_ns, bucket.start_ns)
        rows = self._minutes.setdefault(minute, {})
        for point in bucket.points:
            key = PointKey(report.service, report.env, point.tags, point.hash, point.parent)
            if key not in rows:
                rows[key] = Row()
                self._rows += 1
            rows[key].merge(point)
        for tags, value in bucket.backlogs:
            self._add_backlog(tags, Backlog(bucket.start_ns, value))

    def _add_backlog(self, tags: tuple[str, ...], backlog: Backlog) -> None:
        known = self._backlogs.get(tags)
        # The newest bucket wins, not the highest value: a topic made anew counts from 0.
        if known is None or backlog >= known:
            self._backlogs[tags] = backlog
            self._backlogs.move_to_end(tags)
        if len(self._backlogs) > MAX_BACKLOGS:
            self._backlogs.popitem(last=False)

    def _forget(self) -> None:
        oldest_kept = self._this_minute() - self._kept_minutes
        for minute in sorted(self._minutes):
            if minute > oldest_kept and self._rows <= self._max_rows:
                break
            rows = self._minutes.pop(minute)
            self._rows -= len(rows)
            self.forgotten_rows += len(rows) if minute > oldest_kept else 0

    def _this_minute(self) -> int:
        return int(self._now() // 60)
