"""Which share of the messages of each version were redelivered or dead-lettered.

Facts are kept in minutes, later in ten minutes. So only what passed in the whole minutes of a version is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from asyncdsm.agent.queries.version_spans import RowCodes, VersionSpan
from asyncdsm.agent.store.histograms import Ints
from asyncdsm.agent.store.limits import DETAIL_SECONDS
from asyncdsm.agent.store.merger import Rows
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.reports import FactSums
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.agent.store.versions import ServiceKey

MINUTE, TEN_MINUTES = 60, 600


class WholeMinutes:
    """The whole minutes of each span that are in a time range; after a day, the whole periods of ten minutes."""

    def __init__(self, store: Store, spans: Sequence[VersionSpan], time_range: TimeRange) -> None:
        self._store = store
        is_detailed = time_range.first >= store.now() - DETAIL_SECONDS
        width = MINUTE if is_detailed else TEN_MINUTES
        limits = [(max(span.first, time_range.first), min(span.last, time_range.last)) for span in spans]
        self._firsts: Ints = np.array([-int(first // -width) * width for first, _ in limits], np.int64)
        self._lasts: Ints = np.array([int(last // width) * width for _, last in limits], np.int64)

    def contain(self, rows: Rows, codes: Ints) -> NDArray[np.bool_]:
        """Return which rows are in a whole minute of one span."""
        places = RowCodes.spans_of(codes)
        within = (rows.starts >= self._firsts[places]) & (rows.starts + rows.widths <= self._lasts[places])
        found: NDArray[np.bool_] = (places >= 0) & within
        return found

    def read_facts(self, service: ServiceKey, codes: Iterable[int]) -> dict[EdgeKey, FactSums] | None:
        """Return what messages said in the spans of some codes, by edge; None if no minute of them is whole."""
        places = RowCodes.spans_of(np.array(sorted(codes), np.int64))
        ranges = [TimeRange(int(self._firsts[place]), int(self._lasts[place])) for place in places[places >= 0]]
        whole = [each for each in ranges if each.first < each.last]
        sums: dict[EdgeKey, FactSums] = {}
        for time_range in whole:
            for edge, facts in self._store.edge_facts(time_range).items():
                if (edge.service, edge.env) == service:
                    sums[edge] = sums.get(edge, FactSums()).merge(facts)
        return sums if whole else None
