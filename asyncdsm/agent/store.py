"""What is kept: sketches per point and ten seconds, later per minute and more, and the offsets of backlogs.

A payload is taken in two steps. First it is written to the file's journal as it came, with others that wait, and
acknowledged; its counts are added to what is pending in memory. Every ten seconds what is pending goes into the file's
segments, and out of the journal, in one transaction. After a kill the journal is read again.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock
from time import monotonic, time
from typing import NamedTuple
from weakref import finalize

import numpy as np

from asyncdsm.agent.cells import Ints, unpacked
from asyncdsm.agent.hours import Hours
from asyncdsm.agent.intake import IntakeError, Report, read_report
from asyncdsm.agent.levels import FOREVER, WIDTHS, pieces
from asyncdsm.agent.merger import Grouped, Merger, Rows
from asyncdsm.agent.points import Points
from asyncdsm.agent.service_facts import ServiceFacts
from asyncdsm.agent.store_file import (
    StoreError,
    StoreFile,
    StoreFullError,
    add_to_counters,
    first_start,
    forget_points,
    put_points,
    put_services,
    segments_of,
    told,
)
from asyncdsm.agent.store_offsets import (
    Latest,
    Tags,
    forget_offsets,
    forget_oldest_offsets,
    latest_offsets,
    put_offsets,
    read_offsets,
)
from asyncdsm.agent.store_pending import WIDTH, Pending
from asyncdsm.agent.store_rollup import Extents, forget_old, make_room, put_rows, roll_up

KEPT_SECONDS = 7 * 24 * 3600
FILE_BYTES, MEMORY_BYTES = 4 << 30, 256 << 20
MAX_ROWS = 50_000_000
MAX_SERVICES, MAX_NAMES = 1_000, 10_000
"""How many services are shown, those that reported last, and how many may have rows."""
MAX_BACKLOGS = 100_000
MAX_POINTS = 200_000
FLUSH_SECONDS = 10.0
MAX_PENDING_CELLS = 2_000_000
"""32 MiB; beyond it, what is pending is written before its time."""


class Taken(NamedTuple):
    """A payload that was read, and how it came: for the journal."""

    report: Report
    encoding: str = ""
    body: bytes = b""


class Span(NamedTuple):
    """A stretch of time in seconds since the epoch, `last` not in it."""

    first: float
    last: float


Label = Callable[[Rows], Ints]
"""Says of rows what to add them up under; -1 leaves one out."""


def by_point(rows: Rows) -> Ints:
    """Label every point by its number."""
    return rows.points


class Store:
    """Any thread may use it. What is older than `kept_seconds`, and the oldest beyond the bounds, is forgotten."""

    def __init__(
        self,
        path: Path | None = None,
        *,
        kept_seconds: int = KEPT_SECONDS,
        max_rows: int = MAX_ROWS,
        max_bytes: int | None = None,
        max_points: int = MAX_POINTS,
        now: Callable[[], float] = time,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        """Open the file at `path`, or keep everything in memory. Raises StoreError.

        `now` gives seconds since the epoch, `ticks` seconds of a clock that nobody sets.
        """
        self.kept_seconds: int = kept_seconds
        self._max_rows, self._max_points = max_rows, max_points
        self._max_bytes = max_bytes or (FILE_BYTES if path else MEMORY_BYTES)
        self.now: Callable[[], float] = now
        self._ticks = ticks
        self._lock = Lock()
        self._file = StoreFile(path)
        self._closing = finalize(self, self._file.close)
        try:
            self._load()
        except sqlite3.Error as error:
            self._closing()
            raise StoreError(f"{path}: {error}") from None

    def _load(self) -> None:
        self.points: Points = self._file.load_points()
        self._extents, self._written = self._file.extents(), self._file.counters()
        self._last_seen = OrderedDict(self._file.last_seen())
        self._latest, self._hours = Latest(MAX_BACKLOGS), Hours()
        self.facts: ServiceFacts = ServiceFacts(MAX_SERVICES)
        with self._file.snapshot() as connection:
            for tags, backlog in latest_offsets(connection):
                self._latest.note(tags, backlog)
        self._pending = Pending(self._file.last_start(), self._latest)
        self._flushed_at = self._ticks()
        self.payloads: int = self._written.get("payloads", 0)
        """How many payloads were taken, ever. To be read without waiting for anything."""
        for received, encoding, body in self._file.journal():
            with suppress(IntakeError):  # a stricter version than the one that took it
                self._keep(read_report(body, encoding), received)

    def close(self) -> None:
        """Write what is pending, as far as that goes, and close the file."""
        with self._lock, suppress(sqlite3.Error):
            if self._closing.alive:
                self._flush()
        self._closing()

    def add(self, report: Report) -> None:
        """Add one report that nothing but memory has. Raises as `add_all`."""
        self.add_all([Taken(report)])

    def add_all(self, taken: Sequence[Taken]) -> None:
        """Add reports: all of them are safe from a kill when this returns, or none was added.

        Raises StoreFullError where there is no room, sqlite3.Error where the file cannot be written.
        """
        with self._lock:
            self._check_room()
            received = self.now()
            try:
                self._file.put_in_journal((received, one.encoding, one.body) for one in taken if one.body)
            except sqlite3.Error as error:
                raise told(error) from error
            for one in taken:
                self._keep(one.report, received)
            if self._is_due():
                with suppress(sqlite3.Error):  # what is pending is in the journal, and tried again
                    self._flush()

    def maintain(self) -> None:
        """Write what is due, roll up, forget: to be called now and then. Raises sqlite3.Error."""
        with self._lock:
            if self._is_due():
                self._flush()

    def flush(self) -> None:
        """Write what is pending, roll up and forget. Raises sqlite3.Error."""
        with self._lock:
            self._flush()

    def merged(self, span: Span, label: Label, *, service: int | None = None, widest: int = WIDTHS[-1]) -> Grouped:
        """Return what was counted in a span under the reader's labels.

        Of one service only, where one is given; from rows that are no wider than `widest`, as far as there are any.
        """
        merger = Merger()

        def add(rows: Rows) -> None:
            labels = label(rows)
            wanted = labels >= 0
            merger.add(labels[wanted], rows.cells if wanted.all() else rows.where(wanted).cells)

        with self._reading() as (connection, pending, extents):
            first, last = self._bounded(span)
            add(pending.where((pending.starts >= first) & (pending.starts < last)))
            for piece in pieces(first, last, extents, widest):
                if label is by_point and piece.width == WIDTHS[-1]:
                    merger.add(*self._hours.by_point(connection, piece))
                    continue
                for start, data in segments_of(connection, [piece], service):
                    cells, points = unpacked(data)
                    add(Rows(np.full(len(points), start), points, cells))
        return merger.grouped()

    def offsets(self, span: Span) -> list[tuple[Tags, int, int]]:
        """Return tags, start and value of each backlog's offsets in a span, and of its last one before, by time."""
        with self._reading() as (connection, _, _):
            first, last = self._bounded(span)
            waiting = [(tags, start, value) for (tags, start), value in self._pending.offsets.items() if start < last]
            kept = list(read_offsets(connection, first, last))
        return sorted({*kept, *waiting}, key=lambda offset: offset[1])

    def backlogs_at(self, span: Span) -> dict[Tags, int]:
        """Return the last offset by tags before the end of a span."""
        return {tags: value for tags, _, value in self.offsets(Span(span.last - WIDTH, span.last))}

    def backlogs(self) -> dict[Tags, int]:
        """Return the latest offset by sorted tags."""
        with self._lock:
            return self._latest.values()

    def services(self) -> dict[tuple[str, str], float]:
        """Return when each (service, env) last reported, in seconds since the epoch."""
        with self._lock:
            return dict(self._last_seen)

    def first_start(self) -> float | None:
        """Return when the oldest row starts; None where there is none."""
        with self._reading() as (connection, pending, _):
            starts = [*pending.starts.tolist(), *filter(None, [first_start(connection)])]
            return min(starts, default=None)

    def counters(self) -> dict[str, int]:
        """Return the counts of payloads taken, rows kept, rows forgotten for want of room, rows too old to be taken,
        and buckets of clocks that are ahead."""
        with self._lock:
            names = "payloads", "rows", "forgotten_rows", "ignored_rows", "clamped_buckets"
            pending = {**self._pending.counted, "rows": len(self._pending.slots)}
            return {name: self._written.get(name, 0) + pending.get(name, 0) for name in names}

    def used_bytes(self) -> int:
        """Return how many bytes of the file, or of memory, are in use."""
        with self._lock:
            return self._file.used_bytes()

    def _bounded(self, span: Span) -> tuple[int, int]:
        first = max(span.first, self.now() - self.kept_seconds)
        return int(first // WIDTH) * WIDTH, int(min(span.last, FOREVER) // -WIDTH) * -WIDTH

    def _check_room(self) -> None:
        if self._knows_too_much() or self._pending.cells > 2 * MAX_PENDING_CELLS:
            try:
                self._flush()
            except sqlite3.Error as error:
                raise told(error) from error
            if self._knows_too_much():
                raise StoreFullError(f"{self._max_points} pathways or {MAX_NAMES} services are known: no room for more")

    def _knows_too_much(self) -> bool:
        return len(self.points.keys) >= self._max_points or len(self.points.services) >= MAX_NAMES

    def _keep(self, report: Report, received: float) -> None:
        self._pending.add(report, received, self.kept_seconds, self.points)
        self.facts.note(report, received)
        self._last_seen[report.service, report.env] = received
        self._last_seen.move_to_end((report.service, report.env))
        if len(self._last_seen) > MAX_SERVICES:
            self._last_seen.popitem(last=False)
        self.payloads += 1

    def _is_due(self) -> bool:
        rows = self._written.get("rows", 0) + len(self._pending.slots)
        return (
            self._ticks() - self._flushed_at >= FLUSH_SECONDS
            or self._pending.cells > MAX_PENDING_CELLS
            or rows > self._max_rows
        )

    def _flush(self) -> None:
        self._flushed_at = self._ticks()
        pending, extents = self._pending, dict(self._extents)
        now = min(self.now(), pending.newest + 3600)  # a clock that is ahead must not make all of it old
        counted = dict(pending.counted)
        with self._file.transaction() as connection:
            rows = 0
            if pending:
                rows = self._write(connection, pending, extents)
            rows += roll_up(connection, extents, now, self._service_of)
            oldest = int(now) - self.kept_seconds
            gone = forget_old(connection, extents, oldest, now)
            gone, counted["forgotten_rows"] = self._make_room(connection, extents, rows, gone)
            forget_offsets(connection, oldest, now)
            forgotten = forget_points(connection, oldest) if gone else ([], [])
            counted["rows"] = rows - gone
            add_to_counters(connection, counted)
        for name, value in counted.items():
            self._written[name] = self._written.get(name, 0) + value
        self.points.forget(*forgotten)
        self._extents, self._pending = extents, Pending(pending.newest, self._latest)

    def _write(self, connection: sqlite3.Connection, pending: Pending, extents: Extents) -> int:
        last = dict[int, int]()
        for start, point in pending.slots:
            last[point] = max(start, last.get(point, start))
        put_services(connection, self.points, pending.last_seen)
        put_points(connection, self.points, last)
        put_offsets(connection, pending.offsets.items())
        connection.execute("DELETE FROM journal")
        return put_rows(connection, pending.rows(), self._service_of, extents)

    def _make_room(self, connection: sqlite3.Connection, extents: Extents, rows: int, gone: int) -> tuple[int, int]:
        forgotten, before = 0, self._written.get("rows", 0) + rows
        while before - gone > self._max_rows or self._file.used_bytes() > self._max_bytes:
            went, lost = make_room(connection, extents)
            if not (went or forget_oldest_offsets(connection)):
                break
            gone, forgotten = gone + went, forgotten + lost
        return gone, forgotten

    def _service_of(self, point: int) -> int:
        key = self.points.keys[point]
        return self.points.services[key.service, key.env]

    @contextmanager
    def _reading(self) -> Iterator[tuple[sqlite3.Connection, Rows, Extents]]:
        """See what is taken by now, each payload once. A file may be written meanwhile, memory not."""
        with ExitStack() as held:
            held.enter_context(self._lock)
            connection = held.enter_context(self._file.snapshot())
            pending, extents = self._pending.rows(), dict(self._extents)
            if self._file.path is not None:
                self._lock.release()
                held.callback(self._lock.acquire)
            yield connection, pending, extents
