"""Reads what passed the edges of a service, by the versions that reported meanwhile."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asyncdsm.agent.queries.edge_numbers import EdgeNumbers
from asyncdsm.agent.queries.quantiles import GroupQuantiles, count_messages
from asyncdsm.agent.queries.time_ranges import settled_until
from asyncdsm.agent.queries.version_facts import WholeMinutes
from asyncdsm.agent.queries.version_spans import CODE_BITS, Period, RowCodes, list_spans
from asyncdsm.agent.store.histograms import Floats, Histograms, Ints
from asyncdsm.agent.store.merger import Label, Rows
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.reports import FactSums
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, TimeRange
from asyncdsm.agent.store.versions import ServiceKey


class VersionTraffic(NamedTuple):
    """What passed `edges` in `periods`: group `g` is what passed `edges[group_edges[g]]` in `group_periods[g]`."""

    edges: list[EdgeKey]
    periods: list[Period]
    """Those in which messages passed or a version reported, with their times in the range that was asked for."""
    facts: list[dict[EdgeKey, FactSums] | None]
    """What messages said in the whole minutes of each period; None for one that has no whole minute."""
    histograms: Histograms
    group_edges: Ints
    group_periods: Ints
    is_whole: NDArray[np.bool_]
    """Which groups have passed in a whole minute of a period."""
    is_begin: NDArray[np.bool_]
    """In which groups pathways begin."""

    def read_quantiles(self, group_of: Ints, groups: int) -> GroupQuantiles:
        """Return the quantiles of `groups` groups of edges: that of group `i` in period `p` is `i * len(periods) + p`.

        `group_of[e]` is the group of `edges[e]`, -1 for none.
        """
        wanted, places = self._place(group_of)
        return GroupQuantiles.of(
            self.histograms.select_groups(wanted), groups * len(self.periods), self.is_begin, places
        )

    def count_whole(self, group_of: Ints, groups: int) -> Floats:
        """Return how many messages passed the same groups in whole minutes."""
        wanted, places = self._place(group_of)
        histograms = self.histograms.select_groups(wanted & self.is_whole).relabel(places)
        return count_messages(histograms, groups * len(self.periods))

    def _place(self, group_of: Ints) -> tuple[NDArray[np.bool_], Ints]:
        chosen = group_of[self.group_edges] if len(self.edges) else self.group_edges
        wanted: NDArray[np.bool_] = (chosen >= 0) & (self.group_periods >= 0)
        return wanted, np.where(wanted, chosen * len(self.periods) + self.group_periods, 0)


def read_traffic(store: Store, service: ServiceKey, time_range: TimeRange) -> VersionTraffic:
    """Return what passed the edges of a service in a time range, by its versions."""
    spans = list_spans(store.versions().get(service, ()))
    codes, numbers = RowCodes(spans), EdgeNumbers(store)
    whole = WholeMinutes(store, spans, time_range)
    labels, histograms = store.merge_rows(
        time_range,
        _labeler(store, codes, numbers, whole),
        service=store.points.services.get(service, 0),
        coarsest=BUCKET_SECONDS,
    )
    of_group = labels >> 2 & (1 << CODE_BITS) - 1
    listed = _periods_in(store, codes, frozenset(of_group.tolist()), time_range)
    place_of = {code: place for place, period in enumerate(listed) for code in period.codes}
    return VersionTraffic(
        edges=list(numbers.edges),
        periods=listed,
        facts=[whole.read_facts(service, period.codes) for period in listed],
        histograms=histograms,
        group_edges=labels >> CODE_BITS + 2,
        group_periods=np.array([place_of.get(code, -1) for code in of_group.tolist()], np.int64),
        is_whole=labels >> 1 & 1 == 1,
        is_begin=labels & 1 == 1,
    )


def _labeler(store: Store, codes: RowCodes, numbers: EdgeNumbers, whole: WholeMinutes) -> Label:
    """Return what labels rows by edge, code, whether they are in a whole minute, and whether pathways begin there."""
    keys = dict(store.points.keys)
    begins = np.array([number for number, key in keys.items() if key.parent == 0], np.int64)

    def label(rows: Rows) -> Ints:
        edges, code = numbers.of_points(rows.points), codes.encode_rows(rows)
        flags = whole.contain(rows, code) * 2 + np.isin(rows.points, begins)
        labels: Ints = np.where(edges < 0, -1, edges << CODE_BITS + 2 | code << 2 | flags)
        return labels

    return label


def _periods_in(store: Store, codes: RowCodes, passed: frozenset[int], time_range: TimeRange) -> list[Period]:
    """Return the periods in a range, with their times in it: those that messages passed, and those with a version."""
    begin = max(int(time_range.first) // BUCKET_SECONDS * BUCKET_SECONDS, int(store.oldest_start() or 0))
    end = max(settled_until(time_range, store.now()) + BUCKET_SECONDS, codes.newest)
    found: list[Period] = []
    for span, its_codes in codes.periods():
        first, last = max(span.first, begin), min(span.last, end)
        if passed & its_codes or (span.versions and first < last):
            found.append(Period(span._replace(first=first, last=max(last, first + BUCKET_SECONDS)), its_codes))
    return found
