"""Which edges, or whole services, are new: no message passed there before."""

from __future__ import annotations

from collections import defaultdict

from asyncdsm.agent.queries.answers import Change
from asyncdsm.agent.queries.change_rules import new_from
from asyncdsm.agent.queries.edge_changes import change_of_edge
from asyncdsm.agent.queries.edge_history import EdgeHistory
from asyncdsm.agent.queries.service_changes import change_of_service
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.agent.store.versions import ServiceKey


def find_new_edges(store: Store, time_range: TimeRange, history: EdgeHistory, oldest: float | None) -> list[Change]:
    """Return the edges that are new in a time range: one change for each service of which all edges are new.

    `oldest` is when the data of the store begin: soon after, everything is seen for the first time, and nothing is new.
    """
    if oldest is None:
        return []
    begin = max(time_range.first, new_from(oldest))
    unknown, known_services = _split_edges(store, begin)
    since = {edge: start for edge, start in history.first_starts().items() if edge in unknown and start >= begin}
    by_service: defaultdict[ServiceKey, list[EdgeKey]] = defaultdict(list)
    for edge in since:
        by_service[edge.service, edge.env].append(edge)
    changes: list[Change] = []
    for service, edges in by_service.items():
        if service in known_services:
            changes += [change_of_edge(edge, "new", float(since[edge])) for edge in edges]
        else:
            changes.append(change_of_service(service, "new", float(min(since[edge] for edge in edges))))
    return changes


def _split_edges(store: Store, moment: float) -> tuple[set[EdgeKey], set[ServiceKey]]:
    """Return the edges that were not known at a moment, and the services of which any edge was known."""
    first_new, keys = store.point_ages.first_new_number(moment), dict(store.points.keys)
    if first_new is None or all(number < first_new for number in keys):
        return set(), set()
    known = {key.edge for number, key in keys.items() if number < first_new}
    unknown = {key.edge for number, key in keys.items() if number >= first_new} - known
    return unknown, {(edge.service, edge.env) for edge in known}
