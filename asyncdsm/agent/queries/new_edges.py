"""Which edges, or whole services, are new: no message passed there before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from asyncdsm.agent.queries.answers import Change
from asyncdsm.agent.queries.change_rules import new_from
from asyncdsm.agent.queries.edge_changes import change_of_edge
from asyncdsm.agent.queries.edge_history import EdgeHistory
from asyncdsm.agent.queries.service_changes import change_of_service
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.resolutions import FOREVER, TimeRange
from asyncdsm.agent.store.versions import ServiceKey

HOUR, DAY = 3_600, 86_400


def find_new_edges(store: Store, time_range: TimeRange, history: EdgeHistory, oldest: float | None) -> list[Change]:
    """Return the edges that are new in a time range: one change for each service of which all edges are new.

    `oldest` is when the data of the store begin: soon after, everything is seen for the first time, and nothing is new.
    """
    if oldest is None:
        return []
    begin = max(time_range.first, new_from(oldest))
    starts = {edge: start for edge, start in history.first_starts().items() if start + history.width > begin}
    unknown = find_unknown_edges(store, starts, begin)
    since = {edge: max(float(starts[edge]), begin) for edge in starts if edge in unknown}
    known_services = {(key.service, key.env) for key in dict(store.points.keys).values() if key.edge not in unknown}
    by_service: defaultdict[ServiceKey, list[EdgeKey]] = defaultdict(list)
    for edge in since:
        by_service[edge.service, edge.env].append(edge)
    changes: list[Change] = []
    for service, edges in by_service.items():
        if service in known_services:
            changes += [change_of_edge(edge, "new", since[edge]) for edge in edges]
        else:
            changes.append(change_of_service(service, "new", min(since[edge] for edge in edges)))
    return changes


def find_first_slots(store: Store, history: EdgeHistory) -> dict[EdgeKey, int]:
    """Return the first slot of each edge that no message passed before it, as far as the data reach back."""
    starts = {edge: start for edge, start in history.first_starts().items() if start > history.first}
    unknown = find_unknown_edges(store, starts, history.first)
    return {edge: (starts[edge] - history.first) // history.width for edge in unknown}


def find_unknown_edges(store: Store, edges: Iterable[EdgeKey], moment: float) -> set[EdgeKey]:
    """Return which of some edges no message had passed by a moment."""
    first_new = store.point_ages.first_new_number(moment)
    numbers = dict(store.points.keys).items()
    known = {key.edge for number, key in numbers if first_new is None or number < first_new}
    unknown = set(edges) - known
    if moment < store.opened_at:  # ages of points are not kept over a restart
        unknown |= _find_never_passed(store, known.intersection(edges), moment)
    return unknown


def _find_never_passed(store: Store, edges: set[EdgeKey], moment: float) -> set[EdgeKey]:
    """Return which of some edges have no data from before a moment.

    Most have some from shortly before. The rest is looked for in whole hours, whose sums the store keeps for an hour.
    """
    oldest, last = store.oldest_start(), moment
    for seconds in (HOUR, DAY, FOREVER):
        first = max((moment - seconds) // HOUR * HOUR, moment if oldest is None else oldest)
        if edges and first < last:
            sums = store.sum_edges(TimeRange(first, last))
            edges = edges - {sums.edges[label >> 1] for label in sums.labels.tolist()}
            last = first
    return edges
