"""What passed each edge over time, in slots of equal length: what the rules for changes look at."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asyncdsm.agent.queries.edge_numbers import EdgeNumbers
from asyncdsm.agent.queries.latency_changes import Slot
from asyncdsm.agent.queries.time_ranges import settled_until
from asyncdsm.agent.store.histograms import EDGE, Floats, Ints, quantiles
from asyncdsm.agent.store.merger import Rows
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, RESOLUTIONS, TimeRange
from asyncdsm.agent.store.segments import RollUpVersion
from asyncdsm.agent.store.store import Store
from asyncdsm.agent.store.versions import ServiceKey
from asyncdsm.map.levels import LOWEST_LIMIT, slowness_of

MINUTE = 60
MOST_SLOTS = 180
"""How many slots a history has at most: three hours in minutes, a day in tens of minutes, a week in hours."""
MOST_KEPT_SLOTS, MOST_KEPT_CELLS, MOST_EDGES = 1_000, 1_000_000, 50_000
"""How many slots, and edges of slots, a reader keeps, and how many edges it numbers: 40 MB."""
FEWEST_LATENCIES = 5
"""A slot with fewer messages says nothing about the latency."""

# The bits of a label that have the number of a slot since 1970.
_START_BITS = 30


class EdgeHistory(NamedTuple):
    """The counts and latencies of edges: row `e`, column `s` is edge `edges[e]` in slot `s`."""

    first: int
    """The start of the first slot, in seconds since the epoch."""
    width: int
    """The length of a slot in seconds."""
    settled: int
    """How many slots, from the first one on, are over, so that nothing more is expected to be reported of them."""
    settled_at: int
    """Until when nothing more is expected to be reported, in seconds since the epoch."""
    edges: list[EdgeKey]
    counts: Floats
    p50: Floats
    p99: Floats

    def start_of(self, slot: int) -> int:
        """Return the start of a slot, in seconds since the epoch."""
        return self.first + slot * self.width

    def latency_slots(self, edge: int) -> list[Slot]:
        """Return how slow an edge was in each slot in which enough messages passed."""
        slots = np.flatnonzero(self.counts[edge] >= FEWEST_LATENCIES).tolist()
        found = [(slot, float(self.p50[edge, slot]), float(self.p99[edge, slot])) for slot in slots]
        return [Slot(self.start_of(slot), slowness_of(p50, p99), p50) for slot, p50, p99 in found]

    def edges_of_two_levels(self, factor: float) -> list[int]:
        """Return the rows of the edges whose slownesses differ by a factor: the others never changed."""
        said = self.counts >= FEWEST_LATENCIES
        slowness = np.maximum(np.maximum(self.p50, self.p99 / 10), LOWEST_LIMIT)
        highest = np.where(said, slowness, 0.0).max(axis=1, initial=0.0)
        lowest = np.where(said, slowness, np.inf).min(axis=1, initial=np.inf)
        rows: list[int] = np.flatnonzero(highest >= lowest * factor).tolist()
        return rows

    def first_starts(self) -> dict[EdgeKey, int]:
        """Return the start of the first slot in which anything passed each edge."""
        first = (self.counts > 0).argmax(axis=1).tolist()
        return {edge: self.start_of(slot) for edge, slot in zip(self.edges, first, strict=True)}

    def known_slots(self) -> NDArray[np.bool_]:
        """Return in which slots any service reported; of the others the agent knows nothing, it may not have run."""
        known: NDArray[np.bool_] = (self.counts > 0).sum(axis=0) > 0
        return known

    def slots_of_services(self) -> dict[ServiceKey, list[int]]:
        """Return the slots in which each service reported anything, in ascending order."""
        rows: dict[ServiceKey, list[int]] = {}
        for row, edge in enumerate(self.edges):
            rows.setdefault(edge[:2], []).append(row)
        return {service: np.flatnonzero(self.counts[listed].any(axis=0)).tolist() for service, listed in rows.items()}


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
        chosen = (self.starts >= first) & (self.starts < last)
        return Slots(*(each[chosen] for each in self))


class HistoryReader:
    """Reads histories of a store. Slots that are rolled up are kept, since the page asks for them again and again.

    One thread at a time may use it.
    """

    def __init__(self, store: Store) -> None:
        self.store: Store = store
        self._edges = EdgeNumbers(store)
        self._kept: OrderedDict[tuple[int, int], tuple[RollUpVersion, Slots]] = OrderedDict()
        self._kept_cells = 0

    def read(self, time_range: TimeRange) -> EdgeHistory:
        """Return the history of all edges that anything passed in a time range, which ends now at the latest."""
        width = slot_width(time_range.last - time_range.first)
        first = int(time_range.first) // width * width
        last = first + max(1, -((first - int(time_range.last)) // width)) * width
        parts = list(self._read_slots(width, first, last, time_range.last))
        settled_at = settled_until(time_range, self.store.now()) + BUCKET_SECONDS
        return self._spread(Slots(*map(np.concatenate, zip(*parts, strict=True))), width, first, last, settled_at)

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
        for begin, stop in _join_neighbors(missing, width):
            found = self._read_store(width, begin, min(float(stop), end))
            for start in range(begin, stop, width):
                if start in versions:
                    self._keep((width, start), versions[start], found.between(start, start + width))
            yield found

    def _read_store(self, width: int, first: int, end: float) -> Slots:
        def label(rows: Rows) -> Ints:
            numbers = self._edges.of_points(rows.points)
            return np.where((numbers >= 0) & (rows.starts >= first), numbers << _START_BITS | rows.starts // width, -1)

        coarsest = min(width, RESOLUTIONS[-1])
        labels, histograms = self.store.merge_rows(TimeRange(first, end), label, coarsest=coarsest, sketch=EDGE)
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
        passed = np.unique(slots.edges[slots.counts > 0])
        wanted = np.isin(slots.edges, passed)
        rows, columns = np.searchsorted(passed, slots.edges[wanted]), (slots.starts[wanted] - first) // width
        tables = np.zeros((3, len(passed), (last - first) // width))
        for table, values in zip(tables, slots[2:], strict=True):
            table[rows, columns] = np.nan_to_num(values[wanted])
        listed = list(self._edges.edges)
        settled = min(tables.shape[2], max(0, (settled_at - first) // width))
        return EdgeHistory(first, width, settled, settled_at, [listed[number] for number in passed.tolist()], *tables)


def _join_neighbors(starts: Iterable[int], width: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges [first, last) that slots, given by their starts in ascending order, cover without a gap."""
    first = last = None
    for start in starts:
        if first is not None and last is not None and start != last:
            yield first, last
            first = None
        first, last = start if first is None else first, start + width
    if first is not None and last is not None:
        yield first, last
