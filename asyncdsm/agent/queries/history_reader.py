"""Reads the histories of edges from the store, and keeps what does not change any more."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asyncdsm.agent.queries.edge_history import EdgeHistory
from asyncdsm.agent.queries.edge_numbers import EdgeNumbers
from asyncdsm.agent.queries.time_ranges import join_neighbors, settled_until
from asyncdsm.agent.store.histograms import EDGE, Floats, Ints, quantiles
from asyncdsm.agent.store.merger import Merger
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, RESOLUTIONS, RollUpVersion, TimeRange

MINUTE, HOUR = 60, 3_600
MOST_SLOTS = 180
"""How many slots a history has at most: three hours in minutes, a day in tens of minutes, a week in hours."""
MOST_KEPT_SLOTS, MOST_KEPT_CELLS, MOST_EDGES = 1_000, 1_000_000, 50_000
"""How many slots, and edges of slots, a reader keeps, and how many edges it numbers: 40 MB."""
# How much longer than the time whose changes are listed a history is: what comes before is compared with it.
_COMPARED = 1.25
# The bits of a label that have the number of a slot since 1970.
_START_BITS = 30


def slot_width(seconds: float) -> int:
    """Return a length of slots, in seconds, of which at most `MOST_SLOTS` have this length in all."""
    whole_hours = int(-(-seconds // MOST_SLOTS) // -3600) * -3600
    return next((width for width in RESOLUTIONS[1:] if width * MOST_SLOTS >= seconds), whole_hours)


class Slots(NamedTuple):
    """What passed edges, given by their numbers, in slots, given by their starts: one array element for each."""

    starts: Ints
    edges: Ints
    counts: Floats
    p50: Floats
    p99: Floats

    def between(self, first: int, last: int) -> Slots:
        """Return the slots that start in [first, last)."""
        return self.select((self.starts >= first) & (self.starts < last))

    def select(self, wanted: NDArray[np.bool_]) -> Slots:
        """Return each slot `i` for which `wanted[i]` is true."""
        return Slots(self.starts[wanted], self.edges[wanted], self.counts[wanted], self.p50[wanted], self.p99[wanted])

    @classmethod
    def join(cls, parts: Sequence[Slots]) -> Slots:
        """Return the slots of all parts, one part after the other."""
        return cls(
            np.concatenate([part.starts for part in parts]),
            np.concatenate([part.edges for part in parts]),
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.p50 for part in parts]),
            np.concatenate([part.p99 for part in parts]),
        )


class HistoryReader:
    """Reads histories of a store. Slots that are rolled up are kept, since the page asks for them again and again.

    Any thread may use it.
    """

    def __init__(self, store: Store) -> None:
        self.store: Store = store
        self._edges = EdgeNumbers(store)
        self._kept: OrderedDict[tuple[int, int], tuple[RollUpVersion, Slots]] = OrderedDict()
        self._kept_cells = 0
        self._lock = Lock()

    def read_history(self, time_range: TimeRange) -> EdgeHistory:
        """Return the history of all edges that anything passed in a time range, which ends now at the latest."""
        width = slot_width(time_range.last - time_range.first)
        first = int(time_range.first) // width * width
        last = first + max(1, -((first - int(time_range.last)) // width)) * width
        settled_at = settled_until(time_range, self.store.now()) + BUCKET_SECONDS
        with self._lock:
            parts = list(self._read_slots(width, first, last, time_range.last))
            return self._spread(Slots.join(parts), width, first, last, settled_at)

    def _read_slots(self, width: int, first: int, last: int, end: float) -> Iterator[Slots]:
        """Yield all slots that start in [first, last), from what is kept or else from the store."""
        if len(self._edges.edges) > MOST_EDGES:
            self._edges, self._kept, self._kept_cells = EdgeNumbers(self.store), OrderedDict(), 0
        versions = self.store.roll_up_versions(TimeRange(first, last), width)
        missing: list[int] = []
        for start in range(first, last, width):
            kept = self._kept.get((width, start))
            if kept is not None and kept[0] == versions.get(start):
                yield kept[1]
            else:
                missing.append(start)
        for begin, stop in join_neighbors(missing, width):
            found = self._read_store(width, begin, min(float(stop), end))
            for start in range(begin, stop, width):
                if start in versions:
                    self._keep((width, start), versions[start], found.between(start, start + width))
            yield found

    def _read_store(self, width: int, first: int, end: float) -> Slots:
        merger, coarsest = Merger(), min(width, RESOLUTIONS[-1])
        for start, sums in self.store.sum_edges_by_start(TimeRange(first, end), coarsest=coarsest).items():
            if start >= first:
                labels = self._edges.of_sums(sums) << _START_BITS | start // width
                merger.add(labels, sums.histograms.select_sketch(EDGE))
        labels, histograms = merger.result()
        latencies = quantiles(histograms, len(labels), EDGE)
        starts = (labels & (1 << _START_BITS) - 1) * width
        return Slots(starts, labels >> _START_BITS, latencies.counts, latencies.p50, latencies.p99)

    def _keep(self, key: tuple[int, int], version: RollUpVersion, slots: Slots) -> None:
        before = self._kept.pop(key, None)
        self._kept_cells += len(slots.edges) - (len(before[1].edges) if before else 0)
        self._kept[key] = version, slots
        while self._kept_cells > MOST_KEPT_CELLS or len(self._kept) > MOST_KEPT_SLOTS:
            _, (_, oldest) = self._kept.popitem(last=False)
            self._kept_cells -= len(oldest.edges)

    def _spread(self, slots: Slots, width: int, first: int, last: int, settled_at: int) -> EdgeHistory:
        """Return slots as tables of edges and slots, with 0 where nothing passed."""
        slots = slots.between(first, last)
        slots = slots.select(slots.counts > 0)
        passed = np.unique(slots.edges)
        rows, columns = np.searchsorted(passed, slots.edges), (slots.starts - first) // width
        tables = np.zeros((3, len(passed), (last - first) // width))
        for table, values in zip(tables, (slots.counts, slots.p50, slots.p99), strict=True):
            table[rows, columns] = values
        listed = list(self._edges.edges)
        settled = min(tables.shape[2], max(0, (settled_at - first) // width))
        return EdgeHistory(first, width, settled, settled_at, [listed[number] for number in passed.tolist()], *tables)


def read_histories(reader: HistoryReader, begin: float, end: float) -> list[EdgeHistory]:
    """Return the history of the last hour in minutes and, if the range is too long for minutes, that of all of it."""
    compared = end - (end - begin) * _COMPARED
    if end - compared <= MOST_SLOTS * MINUTE:
        return [reader.read_history(TimeRange(compared, end))]
    return [reader.read_history(TimeRange(first, end)) for first in (end - HOUR * _COMPARED, compared)]
