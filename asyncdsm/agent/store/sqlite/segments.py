"""Segments, in which the store's file keeps rows: the points of one service during one period, packed in one blob.

There may be several segments for the same service and period; readers add them up. The coverage of each resolution is
kept in the table `levels`.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from asyncdsm.agent.store.histograms import Histograms, merge
from asyncdsm.agent.store.merger import Rows
from asyncdsm.agent.store.packed_histograms import pack
from asyncdsm.agent.store.resolutions import RESOLUTIONS, Coverage, Coverages, RollUpVersion, Slice
from asyncdsm.agent.store.sqlite.reported_time import Column, measure_reported_time

ServiceOf = Callable[[int], int | None]
"""Returns the number of the service of a point, or None for a point that was evicted."""


class Segment(NamedTuple):
    """The rows of one service that start at `start` and cover `width` seconds: how many, and as `pack` returns them."""

    width: int
    start: int
    service: int
    points: int
    data: bytes


def build_segments(rows: Rows, width: int, service_of: ServiceOf) -> Iterator[Segment]:
    """Yield rows as segments of one resolution: rows of the same period are added up.

    Rows of points that were evicted are left out. Segments are computed one at a time, so that other threads can run
    in between.
    """
    found = np.array([service_of(point) or 0 for point in rows.points.tolist()], np.int64)
    known = found > 0
    services, rows = found[known], rows.select(known)
    names = np.stack((rows.starts // width * width, services, rows.points), axis=1)
    if not len(names):
        return
    names, group_of = np.unique(names, axis=0, return_inverse=True)
    histograms = merge(rows.histograms.relabel(group_of.reshape(-1).astype(np.int64)))
    begins = np.flatnonzero(np.concatenate([[True], (np.diff(names[:, :2], axis=0) != 0).any(axis=1)]))
    ends = np.append(begins[1:], len(names))
    firsts, lasts = (np.searchsorted(histograms.groups, place).tolist() for place in (begins, ends))
    for begin, end, first, last in zip(begins.tolist(), ends.tolist(), firsts, lasts, strict=True):
        part = Histograms(histograms.keys[first:last], histograms.counts[first:last])
        start, service = names[begin, :2].tolist()
        yield Segment(width, start, service, end - begin, pack(part.shift_groups(-begin), names[begin:end, 2]))


def write_segments(connection: sqlite3.Connection, segments: Iterable[Segment]) -> Counter[int]:
    """Write segments, and return how many rows were written for each service, by its number."""
    rows, listed = Counter[int](), list(segments)
    query = "INSERT INTO segments (width, start, service, points, data) VALUES (?, ?, ?, ?, ?)"
    connection.executemany(query, listed)
    for segment in listed:
        rows[segment.service] += segment.points
    return rows


def read_segments(
    connection: sqlite3.Connection, slices: Iterable[Slice], service: int | None
) -> Iterator[tuple[int, bytes]]:
    """Yield the start and the data of each segment in the slices, of one service or (None) of all."""
    query = "SELECT start, data FROM segments WHERE width = ? AND start >= ? AND start < ?"
    for each in slices:
        if service is None:
            yield from connection.execute(query, each)
        else:
            yield from connection.execute(f"{query} AND service = ?", (*each, service))


def read_roll_up_versions(connection: sqlite3.Connection, periods: Slice) -> dict[int, RollUpVersion]:
    """Return the version of each period that has any rows in a slice, by its start."""
    query = "SELECT start, count(*), max(id) FROM segments WHERE width = ? AND start >= ? AND start < ? GROUP BY start"
    return {start: (count, newest) for start, count, newest in connection.execute(query, periods)}


def read_added_segments(
    connection: sqlite3.Connection, period: Slice, known: RollUpVersion | None, version: RollUpVersion
) -> Iterator[bytes] | None:
    """Return the data of the segments that a period of a `version` has beyond those that it had when it was `known`.

    None if some of those were deleted since. Without `known`, all are returned.
    """
    count, newest = known or (0, 0)
    query = "FROM segments WHERE width = ? AND start >= ? AND start < ? AND id > ?"
    (added,) = connection.execute(f"SELECT count(*) {query}", (*period, newest)).fetchone()
    if count + added != version[0]:
        return None
    return (data for (data,) in connection.execute(f"SELECT data {query}", (*period, newest)))


def oldest_starts(connection: sqlite3.Connection) -> dict[int, int]:
    """Return the start of the oldest row of each resolution that has any."""
    query = "SELECT min(start) FROM segments WHERE width = ?"
    found = ((width, connection.execute(query, (width,)).fetchone()[0]) for width in RESOLUTIONS)
    return {width: start for width, start in found if start is not None}


def oldest_start(connection: sqlite3.Connection) -> int | None:
    """Return the start of the oldest row, or None without any. A coarse row counts only if no finer row is in it."""
    first: int | None = None
    for width, start in oldest_starts(connection).items():
        if first is None or start + width <= first:
            first = start
    return first


def newest_start(connection: sqlite3.Connection) -> int:
    """Return the start of the newest row, or 0 without any."""
    query = "SELECT max(start) FROM segments WHERE width = ?"
    return max(connection.execute(query, (width,)).fetchone()[0] or 0 for width in RESOLUTIONS)


def read_coverages(connection: sqlite3.Connection) -> Coverages:
    """Return the coverage of each resolution."""
    query = "SELECT width, since, until FROM levels"
    return {width: Coverage(since, until) for width, since, until in connection.execute(query)}


def set_coverage(connection: sqlite3.Connection, coverages: Coverages, width: int, **changed: int) -> None:
    """Change `since` or `until` of the coverage of a resolution, in `coverages` and in the file."""
    coverages[width] = coverages[width]._replace(**changed)
    connection.execute("UPDATE levels SET since = ?, until = ? WHERE width = ?", (*coverages[width], width))


def measure_rates(connection: sqlite3.Connection, newest: int) -> dict[int, float]:
    """Return how many bytes a second each resolution takes; `newest` is the start of the newest row.

    They are those of the last minutes that there are rows of.
    """
    query = "SELECT coalesce(sum(length(data)), 0) FROM segments WHERE width = ? AND start >= ? AND start < ?"
    rates = dict[int, float]()
    for width in RESOLUTIONS:
        # Of the newest period, not everything is written yet; what is rolled up comes a period later.
        last = newest // width * width - width if width > RESOLUTIONS[0] else newest
        column = Column("segments", "start", width, where=f"width = {width}")
        since, seconds = measure_reported_time(connection, column, last, last)
        rates[width] = connection.execute(query, (width, since, last)).fetchone()[0] / max(seconds, width)
    return rates
