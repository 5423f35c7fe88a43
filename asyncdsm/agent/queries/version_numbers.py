"""Answers which version of a service is slower: what passed it, and each of its edges, while each version reported."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asyncdsm.agent.queries.kafka_clusters import clusters_of, hop_fields, split_tags
from asyncdsm.agent.queries.parameters import ApiError
from asyncdsm.agent.queries.quantiles import GroupQuantiles, quantiles_of
from asyncdsm.agent.queries.version_answers import EdgeVersions, ServiceVersions, VersionNumbers
from asyncdsm.agent.queries.version_differences import compare_neighbors
from asyncdsm.agent.queries.version_traffic import VersionTraffic, read_traffic
from asyncdsm.agent.store.histograms import Floats
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey, edge_id
from asyncdsm.agent.store.reports import FactSums
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.agent.store.versions import ServiceKey
from asyncdsm.map.node_lookup import shorten_name
from asyncdsm.map.topology import NO_QUANTILES

MOST_EDGES = 100
"""How many edges of a service are listed, the busiest ones."""


def find_service(store: Store, name: str, env: str | None) -> ServiceKey:
    """Return the service of a name, in an environment or, for None, in the only one that has it.

    Raises ApiError: 404 for an unknown service, 400 if several environments have it.
    """
    known = {key for key in (*store.services(), *store.points.services) if key[0] == name}
    found = sorted(key for key in known if env in {None, key[1]})
    if not found:
        where = "" if env is None else f" in the environment {shorten_name(env)}"
        raise ApiError(404, "service", f"service must be the name of a known service, got {shorten_name(name)}{where}")
    if len(found) > 1:
        names = ", ".join(shorten_name(key[1]) for key in found[:10])
        raise ApiError(400, "env", f"env must be given, since {shorten_name(name)} is in {len(found)}: {names}")
    return found[0]


def compare_versions(store: Store, service: ServiceKey, time_range: TimeRange) -> ServiceVersions:
    """Return the versions of a service in a time range, side by side."""
    traffic = read_traffic(store, service, time_range)
    edges = _compare_edges(store, traffic)
    return ServiceVersions(
        service=service[0],
        env=service[1],
        versions=_compare(traffic, traffic.edges),
        edges=edges,
        cut={"edges": len(traffic.edges) - len(edges)} if len(edges) < len(traffic.edges) else {},
    )


def _compare_edges(store: Store, traffic: VersionTraffic) -> list[EdgeVersions]:
    """Return the versions on each edge, the busiest first."""
    clusters = clusters_of(list(dict(store.points.keys).values()))
    busiest = _busiest_first(traffic)[:MOST_EDGES]
    return [
        EdgeVersions(
            edge=edge_id(edge),
            cluster=clusters.get(edge) or None,
            versions=_compare(traffic, [edge]),
            **hop_fields(split_tags(edge.tags)),
        )
        for edge in busiest
    ]


def _busiest_first(traffic: VersionTraffic) -> list[EdgeKey]:
    groups = len(traffic.edges)
    if not groups:
        return []
    counts = traffic.read_quantiles(np.arange(groups), groups).counts.reshape(groups, -1).sum(axis=1)
    return [traffic.edges[place] for place in np.argsort(-counts, kind="stable").tolist()]


def _compare(traffic: VersionTraffic, edges: Sequence[EdgeKey]) -> list[VersionNumbers]:
    """Return the numbers of some edges together, in each period."""
    wanted = set(edges)
    # Group 0 is what is received, group 1 what is sent.
    groups = [int(not _is_in(edge)) if edge in wanted else -1 for edge in traffic.edges]
    group_of = np.array(groups, np.int64)
    by_group, whole = traffic.read_quantiles(group_of, 2), traffic.count_whole(group_of, 2)
    received = [edge for edge in edges if _is_in(edge)]
    says_facts = any(any(_resent(facts.get(edge))) for facts in traffic.facts if facts for edge in received)
    numbers = [
        _numbers(traffic, place, by_group, whole, received if says_facts else [], is_sent=1 in groups)
        for place in range(len(traffic.periods))
    ]
    return compare_neighbors(numbers)


def _is_in(edge: EdgeKey) -> bool:
    return "direction:in" in edge.tags


def _numbers(
    traffic: VersionTraffic,
    place: int,
    by_group: GroupQuantiles,
    whole: Floats,
    received: Sequence[EdgeKey],
    *,
    is_sent: bool,
) -> VersionNumbers:
    """Return the numbers of one period. `received` are the edges whose messages say something about themselves."""
    span, periods = traffic.periods[place].span, len(traffic.periods)
    sent_place = periods + place
    has_received = bool(by_group.counts[:periods].any())
    count = float(by_group.counts[place if has_received else sent_place])
    redelivered, dead_lettered = _shares(traffic.facts[place] if received else None, received, float(whole[place]))
    return VersionNumbers(
        versions=list(span.versions),
        from_=float(span.first),
        to=float(span.last),
        count=count,
        rate=count / (span.last - span.first),
        time_in_queue=quantiles_of(by_group.edge, place),
        time_in_service=quantiles_of(by_group.edge, sent_place) if is_sent else NO_QUANTILES,
        end_to_end=quantiles_of(by_group.pathway, sent_place if is_sent else place),
        redelivered_share=redelivered,
        dead_lettered_share=dead_lettered,
        compared_with=None,
        differences=[],
    )


def _shares(
    facts: dict[EdgeKey, FactSums] | None, received: Sequence[EdgeKey], count: float
) -> tuple[float | None, float | None]:
    """Return which shares of `count` messages were redelivered and dead-lettered; None if that is unknown."""
    if facts is None or not count:
        return None, None
    redelivered, dead_lettered = map(sum, zip(*(_resent(facts.get(edge)) for edge in received), strict=True))
    return min(1.0, redelivered / count), min(1.0, dead_lettered / count)


def _resent(facts: FactSums | None) -> tuple[int, int]:
    """Return how many messages were redelivered, and how many were dead-lettered."""
    return (0, 0) if facts is None else (facts.redelivered, facts.dead_lettered)
