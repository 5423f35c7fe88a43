"""What is kept: sketches per point and ten seconds, later per minute and more, and the offsets of backlogs.

A payload is taken in two steps. First it is written to the file's journal as it came, with others that wait, and
acknowledged; its counts are added to what is pending in memory. Every ten seconds what is pending goes into the file's
segments, and out of the journal, in one transaction. After a kill the journal is read again.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic, time
from typing import NamedTuple
from weakref import finalize

import numpy as np

from asyncdsm.agent.intake.payload import IntakeError, Report, read_report
from asyncdsm.agent.store.conditions import Conditions
from asyncdsm.agent.store.core import Core
from asyncdsm.agent.store.file import (
    StoreFile,
    oldest_start,
    put_in_journal,
    read_segments,
    translate_error,
)
from asyncdsm.agent.store.forward_mark import FinishedMark
from asyncdsm.agent.store.histograms import Ints, unpack
from asyncdsm.agent.store.hourly_cache import HourlyCache, Key
from asyncdsm.agent.store.merger import Grouped, Merger, Rows
from asyncdsm.agent.store.offsets import Backlog, Latest, Tags, latest_offsets, read_offsets
from asyncdsm.agent.store.registry import PointRegistry
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, FOREVER, RESOLUTIONS, TimeRange, plan_slices
from asyncdsm.agent.store.rollup import Coverages
from asyncdsm.agent.store.service_facts import ServiceFacts
from asyncdsm.agent.store.spool import Spool
from asyncdsm.agent.store.upkeep import Bounds, Upkeep
from asyncdsm.errors import StoreError

KEPT_SECONDS = 7 * 24 * 3600
FILE_BYTES, MEMORY_BYTES = 4 << 30, 256 << 20
MAX_ROWS = 50_000_000
MAX_SERVICES, MAX_NAMES = 1_000, 10_000
"""How many services are shown, those that reported last, and how many may have rows."""
MAX_BACKLOGS = 100_000
MAX_POINTS = 200_000
POINT_BYTES, BACKLOG_BYTES = 2048, 4096
"""Bytes of the store per point and per backlog: the names of as many as may be take half of the store at most."""
FLUSH_SECONDS = 10.0
MAX_PENDING_CELLS = 2_000_000
"""32 MiB; beyond it, what is pending is written before its time."""
MAX_PENDING_SLOTS = 300_000
"""The same for points and offsets, which may have few cells or none. Offsets count by weight."""
COUNTERS = ("payloads", "rows", "forgotten_rows", "ignored_rows", "clamped_buckets")


class AcceptedPayload(NamedTuple):
    """A payload that was read, and how it came: for the journal."""

    report: Report
    encoding: str = ""
    body: bytes = b""


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
        self._max_rows = max_rows
        self.now: Callable[[], float] = now
        self._ticks = ticks
        max_bytes = max_bytes or (FILE_BYTES if path else MEMORY_BYTES)
        self._file = StoreFile(path)
        self._closing = finalize(self, self._file.close)
        self._latest, self._hourly_cache = Latest(min(MAX_BACKLOGS, max_bytes // BACKLOG_BYTES)), HourlyCache()
        self.points: PointRegistry = PointRegistry(min(max_points, max_bytes // POINT_BYTES), MAX_NAMES)
        self.conditions: Conditions = Conditions(now)
        self._spool: Spool | None = None
        try:
            self._core = Core(self._file, self.points, self._latest)
            self._load()
        except sqlite3.Error as error:
            self._closing()
            raise StoreError(f"{path}: {error}") from None
        self._upkeep = Upkeep(self._core, Bounds(kept_seconds, max_rows, max_bytes))

    def _load(self) -> None:
        self._last_seen = OrderedDict(self._file.last_seen())
        self.facts: ServiceFacts = ServiceFacts(MAX_SERVICES)
        with self._file.snapshot() as connection:
            for tags, backlog, service in latest_offsets(connection):
                self._latest.note(tags, backlog, service)
        self._flushed_at = self._ticks()
        self.payloads: int = self._core.counted["payloads"]
        """How many payloads were taken, ever. To be read without waiting for anything."""
        for received, encoding, body in self._file.journal():
            with suppress(IntakeError):  # a stricter version than the one that took it
                self._keep(read_report(body, encoding), received)

    def close(self) -> None:
        """Write what is pending, as far as that goes, and close the file."""
        with self._core.upkeep_lock, suppress(sqlite3.Error):
            if self._closing.alive:
                self._upkeep.write_pending()
        self._closing()

    def open_spool(self, limit_bytes: int) -> Spool | None:
        """Return what waits to be forwarded, of which the file has a copy from now on; None without a file.

        Raises StoreError.
        """
        if self._file.lock_file is None:
            return None
        try:
            mark = FinishedMark(self._file.lock_file, self.now)
            with self._core.lock:
                self._spool = Spool(self._file.connection, limit_bytes, self.now() - self.kept_seconds, mark)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self._file.path}: {error}") from None
        return self._spool

    def save_spool(self) -> None:
        """Write to the file what waits to be forwarded, and delete from it what does not. Raises sqlite3.Error."""
        with self._core.lock:
            if self._spool is not None and not self._spool.is_saved:
                self._write_ahead(())

    def add(self, report: Report) -> None:
        """Add one report that nothing but memory has. Raises as `add_all`."""
        self.add_all([AcceptedPayload(report)])

    def add_all(self, taken: Sequence[AcceptedPayload]) -> None:
        """Add reports: all of them are safe from a kill when this returns, or none was added.

        Raises StoreFullError where there is no room, sqlite3.Error where the file cannot be written.
        """
        try:
            self._relieve_memory()
            with self._core.lock:
                received = self.now()
                self._write_ahead((received, one.encoding, one.body) for one in taken if one.body)
                for one in taken:
                    self._keep(one.report, received)
        except sqlite3.Error as error:
            self.conditions.note("store", str(error), len(taken))
            raise translate_error(error) from error
        self.conditions.clear("store")
        if self._has_much_pending():
            with suppress(sqlite3.Error):  # what is pending is in the journal, and tried again
                self.flush()

    def maintain(self) -> None:
        """Write what is due, roll up, forget: to be called now and then. Raises sqlite3.Error."""
        if self._ticks() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is pending, roll up and forget. Raises sqlite3.Error."""
        with self._core.upkeep_lock:
            self._flushed_at = self._ticks()
            before = self._core.counted["forgotten_rows"]
            try:
                self._upkeep.run(self.now())
            except sqlite3.Error as error:
                self.conditions.note("upkeep", str(error))
                raise
            self.conditions.clear("upkeep")
            if (lost := self._core.counted["forgotten_rows"] - before) > 0:
                self.conditions.note("room", "the oldest rows are forgotten before their time", lost)

    def merge_rows(
        self,
        span: TimeRange,
        label: Label,
        *,
        service: int | None = None,
        coarsest: int = RESOLUTIONS[-1],
        sketch: int | None = None,
    ) -> Grouped:
        """Return what was counted in a span under the reader's labels.

        Of one service, or one of the sketches only, where one is given; from rows that are no wider than `coarsest`, as
        far as there are any.
        """
        merger = Merger()

        def add(rows: Rows) -> None:
            labels = label(rows)
            wanted = labels >= 0
            cells = rows.cells if wanted.all() else rows.where(wanted).cells
            merger.add(labels[wanted], cells if sketch is None else cells.select_sketch(sketch))

        with ExitStack() as held:
            connection, unwritten, extents = held.enter_context(self._reading())
            first, last = self._bounded(span)
            read = list[tuple[Key | None, Iterable[tuple[int, bytes]]]]()
            for piece in plan_slices(first, last, extents, coarsest):
                is_kept = label is by_point and sketch is None and piece.width == RESOLUTIONS[-1]
                key = self._hourly_cache.make_key(connection, piece) if is_kept else None
                found = [] if key and self._hourly_cache.lookup(key) else [piece]
                segments = read_segments(connection, found, service)
                read.append((key, segments if self._file.path else list(segments)))
            if self._file.path is None:
                held.close()  # what is in memory was copied: whoever reports need not wait for it to be added up
            for rows in unwritten:
                add(rows.where((rows.starts >= first) & (rows.starts < last)))
            for key, rest in read:
                if key is not None:
                    merger.add(*(self._hourly_cache.lookup(key) or self._hourly_cache.add_up(key, rest)))
                    continue
                for start, data in rest:
                    cells, points = unpack(data)
                    add(Rows(np.full(len(points), start), points, cells))
        return merger.grouped()

    def offsets(self, span: TimeRange) -> list[tuple[Tags, int, int]]:
        """Return tags, start and value of each backlog's offsets in a span, and of its last one before, by time."""
        with self._reading() as (connection, _, _):
            first, last = self._bounded(span)
            offsets = self._core.unwritten_offsets()
            waiting = [(tags, start, value) for (tags, start), value in offsets.items() if start < last]
            kept = list(read_offsets(connection, first, last))
        return sorted({*kept, *waiting}, key=lambda offset: offset[1])

    def backlogs(self) -> dict[Tags, int]:
        """Return the latest offset by sorted tags."""
        with self._core.lock:
            return self._latest.values()

    def recent_offsets(self) -> list[tuple[Tags, tuple[Backlog, ...]]]:
        """Return the offsets of the last two minutes of each backlog by tags, in the order of their buckets."""
        with self._core.lock:
            return self._latest.recent()

    def services(self) -> dict[tuple[str, str], float]:
        """Return when each (service, env) last reported, in seconds since the epoch."""
        with self._core.lock:
            return dict(self._last_seen)

    def oldest_start(self) -> float | None:
        """Return when the oldest row starts; None where there is none."""
        with self._reading() as (connection, unwritten, _):
            starts = [start for rows in unwritten for start in rows.starts.tolist()]
            return min([*starts, *filter(None, [oldest_start(connection)])], default=None)

    def counters(self) -> dict[str, int]:
        """Return the counts of payloads taken, rows kept, rows forgotten for want of room, rows too old to be taken,
        and buckets of clocks that are ahead."""
        with self._core.lock:
            shown = {name: self._core.counted[name] for name in COUNTERS}
            for pending in self._core.unwritten:
                for name, value in {**pending.counted, "rows": len(pending.slots)}.items():
                    shown[name] += value
            return shown

    def used_bytes(self) -> int:
        """Return how many bytes of the file, or of memory, are in use."""
        with self._core.lock:
            return self._file.used_bytes()

    def _bounded(self, span: TimeRange) -> tuple[int, int]:
        first = max(span.first, self.now() - self.kept_seconds)
        return int(first // BUCKET_SECONDS) * BUCKET_SECONDS, int(
            min(span.last, FOREVER) // -BUCKET_SECONDS
        ) * -BUCKET_SECONDS

    def _write_ahead(self, entries: Iterable[tuple[float, str, bytes]]) -> None:
        """Note in the file what is taken, and what waits to be forwarded. Nothing to do in memory."""
        if self._file.path is None:
            return
        progress = None
        with self._file.transaction() as connection:
            put_in_journal(connection, entries)
            if self._spool is not None:
                progress = self._spool.save(connection, self.now())
        if self._spool is not None and progress is not None:
            self._spool.set_progress(progress)

    def _keep(self, report: Report, received: float) -> None:
        known = self.points.forgotten
        self._core.pending.add(report, received, self.kept_seconds, self.points)
        if self.points.forgotten > known:
            problem = "there are too many pathways: those seen longest ago are forgotten"
            self.conditions.note("pathways", problem, self.points.forgotten - known)
        self.facts.note(report, received)
        self._last_seen[report.service, report.env] = received
        self._last_seen.move_to_end((report.service, report.env))
        if len(self._last_seen) > MAX_SERVICES:
            self._last_seen.popitem(last=False)
        self.payloads += 1

    def _relieve_memory(self) -> None:
        """Write what is pending where that is far too much, as after hours of a full disk. Raises sqlite3.Error."""
        unwritten = self._core.unwritten
        if (
            sum(pending.cells for pending in unwritten) > 2 * MAX_PENDING_CELLS
            or sum(len(pending.slots) + pending.offsets_weight for pending in unwritten) > 2 * MAX_PENDING_SLOTS
        ):
            with self._core.upkeep_lock:
                self._upkeep.write_pending()

    def _has_much_pending(self) -> bool:
        pending = self._core.pending
        return (
            pending.cells > MAX_PENDING_CELLS
            or len(pending.slots) + pending.offsets_weight > MAX_PENDING_SLOTS
            or self._core.counted["rows"] + len(pending.slots) > self._max_rows
        )

    @property
    def _extents(self) -> Coverages:
        return self._core.extents

    @contextmanager
    def _reading(self) -> Iterator[tuple[sqlite3.Connection, list[Rows], Coverages]]:
        """See what is taken by now, each payload once. A file may be written meanwhile, memory not."""
        lock = self._core.lock
        with ExitStack() as held:
            held.enter_context(lock)
            connection = held.enter_context(self._file.snapshot())
            unwritten, extents = self._core.unwritten_rows(), dict(self._core.extents)
            if self._file.path is not None:
                lock.release()
                held.callback(lock.acquire)
            yield connection, unwritten, extents
