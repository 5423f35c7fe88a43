"""Rows and offsets that were accepted and are not in the file's segments yet. The journal has them as payloads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from asyncdsm.agent.store.edge_facts import Facts, add_facts
from asyncdsm.agent.store.histograms import Histograms, concat
from asyncdsm.agent.store.merger import Rows
from asyncdsm.agent.store.offsets import Backlog, LatestOffsets, Tags
from asyncdsm.agent.store.registry import EdgeKey, PointKey, PointRegistry
from asyncdsm.agent.store.reports import BucketReport, Report
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, FOREVER
from asyncdsm.agent.store.services import ServiceFacts
from asyncdsm.agent.store.shares import weigh_names

MAX_BUFFERED_COUNTS = 2_000_000
"""A buffer with more counts (32 MiB) is full."""
MAX_BUFFERED_SLOTS = 300_000
"""A buffer with more slots and offsets, weighed by their tags, is full too: slots may have few counts or none."""
MAX_AHEAD_SECONDS = 60
"""A bucket that starts later than this after now, and after all other buckets, comes from a clock that is wrong. It is
counted as a bucket of now."""
_SECOND_NS = 1_000_000_000
_TOO_OLD = -1


class Additions(NamedTuple):
    """All slots of a buffer, from which on they are new, and the counts that were added."""

    slots: list[tuple[int, int]]
    first_new: int
    parts: list[Histograms]

    def rows(self) -> Rows:
        """Return the rows that are new or have new counts."""
        keys, histograms = np.array(self.slots, np.int64).reshape(-1, 2), concat(self.parts)
        is_new = np.zeros(len(keys), np.bool_)
        is_new[self.first_new :] = is_new[histograms.groups] = True
        return Rows(keys[:, 0], keys[:, 1], histograms).select(is_new)


class WriteBuffer:
    """Histograms by slot, a point during one bucket; offsets by backlog and bucket; facts by edge and minute."""

    def __init__(self, newest: int, latest: LatestOffsets) -> None:
        """`newest` is the start of the newest row of the store. Each offset is also recorded in `latest`."""
        self.newest: int = newest
        self.slots: dict[tuple[int, int], int] = {}
        """The number of each (start, point)."""
        self.offsets: dict[tuple[Tags, int], int] = {}
        """The highest offset by the tags of its backlog and the start of its bucket."""
        self.facts: Facts = {}
        """What messages said besides their latency, by edge and minute."""
        self.last_seen: dict[tuple[str, str], float] = {}
        self.counters: dict[str, int] = {"payloads": 0, "ignored_rows": 0, "clamped_buckets": 0}
        self.count_total: int = 0
        """How many counts the histograms have, some of which may be of the same cell."""
        self.names_weight: int = 0
        """The weight of the tags of `offsets` and `facts`."""
        self._latest, self._parts = latest, list[Histograms]()

    def __bool__(self) -> bool:
        return bool(self.counters["payloads"])

    def add(self, report: Report, received: float, kept_seconds: int, points: PointRegistry) -> None:
        """Add a payload that was received at a time in seconds. Buckets that are too old are counted and ignored.

        A bucket is too old if it is more than `kept_seconds` before now and before the newest row: if the clock of
        the agent is ahead, no bucket is too old because of that.
        """
        self.counters["payloads"] += 1
        self.last_seen[report.service, report.env] = received
        service = points.number_service(report.service, report.env)
        starts = [self._read_start(bucket.start_ns, received) for bucket in report.buckets]
        self._raise_newest(starts, report, received)
        oldest = min(int(received), self.newest) - kept_seconds
        slots = list[int]()
        for start, bucket in zip(starts, report.buckets, strict=True):
            if start < oldest:
                self.counters["ignored_rows"] += len(bucket.points)
                slots += [_TOO_OLD] * len(bucket.points)
                continue
            for point in bucket.points:
                number = points.number_point(PointKey(report.service, report.env, *point), service)
                slots.append(self.slots.setdefault((start, number), len(self.slots)))
            self._add_offsets(bucket, start, service, received)
            for facts in bucket.facts:
                if add_facts(self.facts, EdgeKey(report.service, report.env, facts.tags), start, facts):
                    self.names_weight += weigh_names(facts.tags)
        self._add_histograms(report.histograms, slots)

    def rows(self) -> Rows:
        """Return all rows. Counts of the same cell are not added up yet."""
        return self.additions().rows()

    def additions(self, slots: int = 0, parts: int = 0) -> Additions:
        """Return what was added since the buffer had some slots and parts. It does not change with the buffer."""
        return Additions(list(self.slots), slots, self._parts[parts:])

    def starts(self) -> set[int]:
        """Return the starts of the rows."""
        return {start for start, _ in self.slots}

    def _add_offsets(self, bucket: BucketReport, start: int, service: int, received: float) -> None:
        for tags, value in bucket.backlogs:
            if (tags, start) not in self.offsets:
                self.names_weight += weigh_names(tags)
            self.offsets[tags, start] = max(value, self.offsets.get((tags, start), value))
            self._latest.record(tags, Backlog(start, value), service, received + MAX_AHEAD_SECONDS)

    def _add_histograms(self, histograms: Histograms, slots: list[int]) -> None:
        slot_of = np.array(slots, np.int64)
        if _TOO_OLD in slots:
            histograms = histograms.select_groups(slot_of != _TOO_OLD)
        if len(histograms.keys):
            self._parts.append(histograms.relabel(slot_of))
            self.count_total += len(histograms.keys)

    def _raise_newest(self, starts: Iterable[int], report: Report, received: float) -> None:
        # A bucket that is a little ahead, or empty, must not change what is too old or ahead for all other services.
        used = (start for start, bucket in zip(starts, report.buckets, strict=True) if bucket.points or bucket.backlogs)
        self.newest = max(self.newest, min(max(used, default=0), int(received) + MAX_AHEAD_SECONDS))

    def _read_start(self, start_ns: int, received: float) -> int:
        start, latest = start_ns // _SECOND_NS, max(int(received), self.newest)
        if start > latest + MAX_AHEAD_SECONDS:
            self.counters["clamped_buckets"] += 1
            start = latest
        return start // BUCKET_SECONDS * BUCKET_SECONDS


def end_of_rows(now: float, newest: int, facts: ServiceFacts) -> float:
    """Return when the rows end that count by now; `newest` is the start of the newest row.

    Later ones are of a time in which the agent's clock was ahead, and count when that time comes. If a service reports
    such times now, the agent's clock is behind, and all rows count.
    """
    end = now + 2 * MAX_AHEAD_SECONDS
    return FOREVER if newest <= end or facts.report_after(end, now) else end


def measure_fullness(buffers: Sequence[WriteBuffer]) -> float:
    """Return how full buffers are together: 1 if they have as much as one buffer may have."""
    counts = sum(buffer.count_total for buffer in buffers)
    slots = sum(len(buffer.slots) + buffer.names_weight for buffer in buffers)
    return max(counts / MAX_BUFFERED_COUNTS, slots / MAX_BUFFERED_SLOTS)
