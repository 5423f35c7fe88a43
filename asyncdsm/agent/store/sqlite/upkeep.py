"""The regular work of the store: it writes its buffer to segments, rolls up, deletes old rows and makes room.

It works in short steps and releases the store's lock between them, so that reports and queries are answered meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from operator import itemgetter
from sqlite3 import Connection
from typing import NamedTuple, TypeVar

from asyncdsm.agent.store.edge_facts import (
    TEN_MINUTES,
    delete_old_facts,
    make_room_for_facts,
    thin_facts,
    write_facts,
)
from asyncdsm.agent.store.growth import Growth, OtherGrowth, estimate_growth
from asyncdsm.agent.store.limits import DETAIL_SECONDS
from asyncdsm.agent.store.merger import Rows
from asyncdsm.agent.store.offsets import (
    delete_backlogs,
    delete_old_offsets,
    delete_oldest_offsets,
    thin_offsets,
    write_offsets,
)
from asyncdsm.agent.store.resolutions import RESOLUTIONS
from asyncdsm.agent.store.schemas import delete_unused_schemas, write_schemas
from asyncdsm.agent.store.sqlite.file import trim_journal
from asyncdsm.agent.store.sqlite.other_rates import measure_other_growth
from asyncdsm.agent.store.sqlite.registry_tables import (
    delete_names,
    delete_unused_names,
    write_next_numbers,
    write_points,
    write_services,
)
from asyncdsm.agent.store.sqlite.retention import (
    DeletedRows,
    delete_details,
    delete_old_rows,
    make_room,
    make_room_of_service,
)
from asyncdsm.agent.store.sqlite.rollup import next_rollup_step, read_finer_segments, roll_up
from asyncdsm.agent.store.sqlite.segments import Segment, build_segments, measure_rates, set_coverage, write_segments
from asyncdsm.agent.store.sqlite.state import Change, StoreState
from asyncdsm.agent.store.versions import delete_unused_versions, write_versions
from asyncdsm.agent.store.write_buffer import WriteBuffer, end_of_rows

MAX_ROLLUP_STEPS = 30
"""How many steps of a roll-up one run does, so that it ends soon when the agent ends."""
# How many names or offsets one transaction writes.
_BATCH_SIZE = 1_000
T = TypeVar("T")


class Bounds(NamedTuple):
    """How much the store may keep: for how many seconds, how many rows, and how many bytes."""

    kept_seconds: int
    rows: int
    bytes: int


class Upkeep:
    """Keeps a store's file up to date and within its bounds. Hold `upkeep_lock` to call it."""

    def __init__(self, state: StoreState, bounds: Bounds) -> None:
        self._state, self._bounds = state, bounds
        self._last_journal_id = self._thinned_until = self._facts_thinned_until = 0
        self._rates: tuple[dict[int, float], OtherGrowth] | None = None
        self._rates_minute: tuple[float, float] = 0, 0
        self.deleted_transactions: int = 0
        """How many business transactions the last run has deleted early, because there were too many."""
        self.deleted_fact_edges: int = 0
        """How many edges with facts the last run has deleted early, because there were too many."""

    def run(self, now: float) -> None:
        """Do all work that is due at a time in seconds, or a part of it if there is much. Raises sqlite3.Error."""
        self.flush_buffer()
        self._delete_evicted_names()  # first, so that rows of other services need not make room for these names
        self.deleted_transactions = self._delete_transactions(now)
        now = min(now, self._state.buffer.newest + 3600)  # if the clock is ahead, not everything is old
        oldest = int(now) - self._bounds.kept_seconds
        self._roll_up(now)
        deleted = self._delete_old_rows(oldest, now) + self._make_room()
        self._delete_old_offsets(oldest, now)
        self._delete_facts(oldest, now)
        if deleted:
            self._delete_unused_names(oldest)

    def measure_growth(self, now: float) -> Growth:
        """Return how the store grows at a time in seconds. Its rates are at most a minute old."""
        state = self._state
        with state.lock:
            newest = state.buffer.newest
            newest = newest if newest < end_of_rows(now, newest, state.facts) else int(now)
            if self._rates is None or self._rates_minute != (newest // 60, now // 60):
                self._rates_minute = newest // 60, now // 60
                connection, most = state.file.connection, state.transactions.most
                other = measure_other_growth(connection, now, self._bounds.kept_seconds, most)
                self._rates = measure_rates(connection, newest), other
            used = state.file.used_bytes()
        rates, other = self._rates
        return estimate_growth(rates, self._bounds.kept_seconds, used, self._bounds.bytes, other)

    def flush_buffer(self) -> None:
        """Write the buffer to segments. If that fails, memory and journal keep it. Raises sqlite3.Error."""
        state = self._state
        with state.lock:
            if state.flushing is None and state.buffer:
                self._last_journal_id = state.file.last_journal_id()
                state.flushing, state.buffer = state.buffer, WriteBuffer(state.buffer.newest, state.latest)
            if state.flushing is None:
                return
            buffer, rows = state.flushing, state.flushing.rows()
        state.pause()
        # After a kill they are written again, and are the same: they need not be in the transaction of the segments.
        self._write_names(buffer)
        state.write_transactions()
        segments = self._build_all_segments(rows)
        with state.lock:
            with state.transaction() as change:
                self._write_segments(change, buffer, segments)
            state.flushing = None
        state.pause()

    def _build_all_segments(self, rows: Rows) -> list[Segment]:
        """Return the segments of the finest resolution, and of the others where rows are late for the roll-up."""
        state = self._state
        return [
            segment
            for width in RESOLUTIONS
            for late in [rows if width == RESOLUTIONS[0] else rows.select(rows.starts < state.coverages[width].until)]
            for segment in build_segments(late, width, state.points.service_of)
        ]

    def _write_segments(self, change: Change, buffer: WriteBuffer, segments: list[Segment]) -> None:
        written = sum(segment.points for segment in segments if segment.width == RESOLUTIONS[0])
        change.rows.update(write_segments(change.connection, segments))
        write_facts(change.connection, buffer.facts.items())
        change.counters.update(buffer.counters)
        change.counters["forgotten_rows"] += len(buffer.slots) - written
        trim_journal(change.connection, self._last_journal_id)

    def _write_names(self, buffer: WriteBuffer) -> None:
        state, last = self._state, dict[int, int]()
        for start, point in buffer.slots:
            last[point] = max(start, last.get(point, start))
        for services in _batches(buffer.last_seen.items()):
            with state.step() as change:
                write_services(change.connection, state.points, services)
                write_next_numbers(change.connection, state.points)
        with state.lock:
            changed, schemas = state.facts.versions.pop_changed(), state.schemas.pop_changed()
        for versions in _batches(changed.items()):
            with state.step() as change:
                write_versions(change.connection, state.points.services, versions)
        for of_edges in _batches(schemas.items()):
            with state.step() as change:
                write_schemas(change.connection, of_edges)
        for points in _batches(last.items()):
            with state.step() as change:
                write_points(change.connection, state.points, points)
        for offsets in _batches(buffer.offsets.items()):
            with state.step() as change:
                write_offsets(change.connection, offsets, state.latest.owner)

    def _roll_up(self, now: float) -> None:
        state = self._state
        for _ in range(MAX_ROLLUP_STEPS):
            with state.lock:
                step = next_rollup_step(state.file.connection, state.coverages, now)
                if step is None:
                    return
                finer_segments = read_finer_segments(state.file.connection, step)
            segments = list(roll_up(step, finer_segments, state.points.keys.__contains__))
            with state.step() as change:
                change.rows.update(write_segments(change.connection, segments))
                set_coverage(change.connection, change.coverages, step.width, until=step.end)

    def _delete_old_rows(self, oldest: int, now: float) -> int:
        """Delete old rows, and return how many were deleted."""
        total = 0
        while True:
            with self._state.step() as change:
                deleted = delete_old_rows(change.connection, change.coverages, oldest, now)
                if deleted is None:
                    return total
                change.rows.subtract(deleted.rows)
            total += deleted.rows.total()

    def _make_room(self) -> int:
        """Delete rows, or offsets, until the store is within its bounds; return how many rows were deleted."""
        state, total = self._state, 0
        while self._is_over_bounds():
            with state.step() as change:
                deleted = self._delete_for_room(change)
                change.rows.subtract(deleted.rows)
                change.counters["forgotten_rows"] += deleted.lost
                if not (deleted.rows.total() or delete_oldest_offsets(change.connection)):
                    return total
            total += deleted.rows.total()
        return total

    def _is_over_bounds(self) -> bool:
        with self._state.lock:
            used = self._state.file.used_bytes()
        return self._state.counters["rows"] > self._bounds.rows or used > self._bounds.bytes

    def _delete_for_room(self, change: Change) -> DeletedRows:
        """Delete some rows: details, or else those of the service that has more than half of all rows, if one has."""
        deleted = delete_details(change.connection, change.coverages)
        if deleted.rows.total():
            return deleted
        rows = self._state.rows
        service, most = max(rows.items(), key=itemgetter(1), default=(0, 0))
        if 2 * most > rows.total() and most < rows.total():
            deleted = make_room_of_service(change.connection, service)
            if deleted.rows.total():
                return deleted
        return make_room(change.connection, change.coverages)

    def _delete_old_offsets(self, oldest: int, now: float) -> None:
        detailed_since = (int(now) - DETAIL_SECONDS) // 60 * 60
        with self._state.step() as change:
            delete_old_offsets(change.connection, oldest)
        if detailed_since > self._thinned_until:
            first = max(self._thinned_until, detailed_since - 3600)
            with self._state.step() as change:
                thin_offsets(change.connection, first, detailed_since)
            self._thinned_until = detailed_since

    def _delete_facts(self, oldest: int, now: float) -> None:
        """Delete old facts, and edges with facts if there are too many; merge minutes that are older than a day."""
        detailed_since = (int(now) - DETAIL_SECONDS) // TEN_MINUTES * TEN_MINUTES
        with self._state.step() as change:
            delete_old_facts(change.connection, oldest)
            self.deleted_fact_edges = make_room_for_facts(change.connection, self._state.most_fact_edges)
            delete_unused_schemas(change.connection)
        if detailed_since > self._facts_thinned_until:
            first = max(self._facts_thinned_until, detailed_since - 3600)
            with self._state.step() as change:
                thin_facts(change.connection, first, detailed_since)
            self._facts_thinned_until = detailed_since

    def _delete_transactions(self, now: float) -> int:
        """Delete the old transactions, and some if there are too many; return how many of the latter."""
        stored, kept_seconds, total = self._state.transactions, self._bounds.kept_seconds, 0
        while self._delete_some(lambda connection: stored.delete_old(connection, now, kept_seconds)):
            pass
        while deleted := self._delete_some(stored.make_room):
            total += deleted
        with self._state.step() as change:
            stored.delete_unused_places(change.connection)
        return total

    def _delete_some(self, delete: Callable[[Connection], int]) -> int:
        with self._state.step() as change:
            return delete(change.connection)

    def _delete_unused_names(self, oldest: int) -> None:
        """Delete the points and services that have no rows any more."""
        with self._state.step() as change:
            points, services = delete_unused_names(change.connection, oldest)
            delete_unused_versions(change.connection)
            self._state.points.remove(points, services)

    def _delete_evicted_names(self) -> None:
        """Delete from the file the points, services and backlogs that were evicted from memory."""
        registry = self._state.points
        for numbers in _batches(_pop_all(registry.evicted_points)):
            with self._state.step() as change:
                delete_names(change.connection, numbers, ())
        for numbers in _batches(_pop_all(registry.evicted_services)):
            with self._state.step() as change:
                delete_names(change.connection, (), numbers)
                delete_unused_versions(change.connection)
        for backlogs in _batches(_pop_all(self._state.latest.evicted)):
            with self._state.step() as change:
                delete_backlogs(change.connection, backlogs)


def _pop_all(items: list[T]) -> list[T]:
    """Remove all items from a list, to which other threads may append meanwhile, and return them."""
    popped = items[:]
    del items[: len(popped)]
    return popped


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH_SIZE)):
        yield batch
