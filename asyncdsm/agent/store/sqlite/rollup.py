"""Rolling up: rows of one resolution are merged into rows of the next coarser one, in steps of one short period each.

Merging and packing need no lock, since only one thread at a time writes segments (see `upkeep`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, pairwise
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from asyncdsm.agent.store.histograms import Histograms, Ints
from asyncdsm.agent.store.merger import Merger
from asyncdsm.agent.store.packed_histograms import pack, unpack
from asyncdsm.agent.store.resolutions import RESOLUTIONS, Coverages
from asyncdsm.agent.store.sqlite.segments import Segment

GRACE_SECONDS = 60
"""How long after its end a period is rolled up. Rows that come later are added to each resolution separately."""


class RollupStep(NamedTuple):
    """Merge the rows of resolution `finer` in [start, end) into rows of resolution `width`, which then cover `end`."""

    finer: int
    width: int
    start: int
    end: int


def next_rollup_step(connection: sqlite3.Connection, coverages: Coverages, now: float) -> RollupStep | None:
    """Return what to roll up next of the periods that ended, the finest resolution first; None if nothing is due."""
    for finer, width in pairwise(RESOLUTIONS):
        due = min(int(now - GRACE_SECONDS), coverages[finer].until) // width * width
        until = coverages[width].until
        if until >= due:
            continue
        query = "SELECT min(start) FROM segments WHERE width = ? AND start >= ?"
        (found,) = connection.execute(query, (finer, until)).fetchone()
        start = due if found is None else min(due, found // width * width)
        return RollupStep(finer, width, start, min(due, start + width))
    return None


def read_finer_segments(connection: sqlite3.Connection, step: RollupStep) -> list[tuple[int, bytes]]:
    """Return the service and the data of each segment to roll up, ordered by service."""
    query = "SELECT service, data FROM segments WHERE width = ? AND start >= ? AND start < ? ORDER BY service"
    return connection.execute(query, (step.finer, step.start, step.end)).fetchall()


def roll_up(
    step: RollupStep, finer_segments: Iterable[tuple[int, bytes]], is_known: Callable[[int], bool]
) -> Iterator[Segment]:
    """Yield one segment for each service, from what `read_finer_segments` returned.

    Points for which `is_known` returns false are left out.
    """
    for service, listed in groupby(finer_segments, itemgetter(0)):
        merger = Merger()
        for _, data in listed:
            histograms, points = unpack(data)
            merger.add(points, histograms)
        points, histograms = _select_known(*merger.result(), is_known)
        if len(points):
            yield Segment(step.width, step.start, service, len(points), pack(histograms, points))


def _select_known(points: Ints, histograms: Histograms, is_known: Callable[[int], bool]) -> tuple[Ints, Histograms]:
    known = np.array([is_known(point) for point in points.tolist()], np.bool_)
    if known.all():
        return points, histograms
    return points[known], histograms.select_groups(known).relabel(np.cumsum(known) - 1)
