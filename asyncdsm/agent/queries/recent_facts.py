"""What the messages of edges said in the last minutes, whichever range is asked for, and since when they say it.

Facts are kept by the minute. Minutes that have settled are read once, so that a map needs few further queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import nlargest
from typing import ClassVar, NamedTuple
from weakref import WeakKeyDictionary

from asyncdsm.agent.store.edge_sums import count_by_edge
from asyncdsm.agent.store.limits import DETAIL_SECONDS
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.reports import FactSums
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.map.topology import RecentFacts

MINUTE = 60
RECENT_MINUTES, MINUTES_BEFORE = 5, 60
"""How many minutes are the last ones, and in how many it is looked for when something began."""
UNSETTLED_MINUTES = 3
"""Of how many minutes more may still be reported."""
MOST_EDGES, MOST_MINUTES = 1_000, 90
"""How many edges of a minute are read, those with the most such messages, and how many minutes are kept."""


class Deliveries(NamedTuple):
    """How many messages were delivered again, and how many were dead-lettered before."""

    redelivered: int
    dead_lettered: int


DeliveriesOfEdges = Mapping[EdgeKey, Deliveries]


class MinutesOfFacts:
    """Reads what messages said in each minute, and keeps the minutes that have settled."""

    _readers: ClassVar[WeakKeyDictionary[Store, MinutesOfFacts]] = WeakKeyDictionary()

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[int, DeliveriesOfEdges] = {}

    @classmethod
    def of(cls, store: Store) -> MinutesOfFacts:
        """Return the reader of a store."""
        return cls._readers.setdefault(store, cls(store))

    def read_minute(self, start: int) -> DeliveriesOfEdges:
        """Return what messages said in the minute from `start` on."""
        kept = self._kept.get(start)
        if kept is None:
            kept = _read_deliveries(self._store, start, start + MINUTE)
            if start + UNSETTLED_MINUTES * MINUTE <= self._store.now():
                self._kept = dict(sorted({**self._kept, start: kept}.items())[-MOST_MINUTES:])
        return kept

    def read_back(self, newest: int) -> Iterator[tuple[int, DeliveriesOfEdges]]:
        """Yield the minutes up to the one that begins at `newest`, the newest first, each with its start."""
        unsettled = newest - (UNSETTLED_MINUTES - 1) * MINUTE
        has_any = bool(_read_deliveries(self._store, unsettled, newest + MINUTE))
        for start in range(newest, newest - MINUTES_BEFORE * MINUTE, -MINUTE):
            yield start, {} if start >= unsettled and not has_any else self.read_minute(start)


def read_recent_facts(store: Store, time_range: TimeRange) -> dict[EdgeKey, RecentFacts]:
    """Return what messages said of each edge whose messages were redelivered or dead-lettered in the last minutes.

    These are the last five of a time range, or of the present if its end is still to come. The minute in which they
    begin counts as a whole.
    """
    newest = int(min(time_range.last - 1, store.now())) // MINUTE * MINUTE
    first = int(min(time_range.last, store.now()) - RECENT_MINUTES * MINUTE) // MINUTE * MINUTE
    oldest_detail = store.now() - DETAIL_SECONDS  # before, minutes are not kept
    if time_range.first >= store.now() or newest - MINUTES_BEFORE * MINUTE < oldest_detail:
        return {}
    sums, begins = dict[EdgeKey, Deliveries](), dict[tuple[EdgeKey, int], int]()
    for start, found in MinutesOfFacts.of(store).read_back(newest):
        if start < first and not any(begin <= start + RECENT_MINUTES * MINUTE for begin in begins.values()):
            break
        for edge, said in found.items():
            before = sums.get(edge, Deliveries(0, 0))
            if start >= first:
                sums[edge] = Deliveries(*map(sum, zip(before, said, strict=True)))
            _go_back(begins, edge, said, start, is_recent=start >= first)
    counts = count_by_edge(store.sum_edges(TimeRange(first, time_range.last))) if sums else {}
    return {edge: _describe(edge, said, begins, counts.get(edge, 0.0)) for edge, said in sums.items()}


def _go_back(
    begins: dict[tuple[EdgeKey, int], int], edge: EdgeKey, said: Deliveries, start: int, *, is_recent: bool
) -> None:
    """Note that an edge had such messages in an earlier minute, unless there was a gap after it."""
    for kind, number in enumerate(said):
        begin = begins.get((edge, kind))
        goes_on = is_recent if begin is None else begin <= start + RECENT_MINUTES * MINUTE
        if number and goes_on:
            begins[edge, kind] = start


def _describe(edge: EdgeKey, said: Deliveries, begins: Mapping[tuple[EdgeKey, int], int], count: float) -> RecentFacts:
    return RecentFacts(
        count=count,
        redelivered=said.redelivered,
        redelivered_since=begins.get((edge, 0)),
        dead_lettered=said.dead_lettered,
        dead_lettered_since=begins.get((edge, 1)),
    )


def _read_deliveries(store: Store, first: int, last: int) -> DeliveriesOfEdges:
    sums = store.edge_facts(TimeRange(first, last))
    said = ((edge, _deliveries_of(each)) for edge, each in sums.items())
    return dict(nlargest(MOST_EDGES, (each for each in said if any(each[1])), key=lambda each: sum(each[1])))


def _deliveries_of(sums: FactSums) -> Deliveries:
    return Deliveries(sums.redelivered, sums.dead_lettered)
