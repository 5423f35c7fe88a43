"""Builds the topology from the store: services, queues, the edges between them, pathways and lag."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil

import numpy as np
from msgspec.structs import asdict

from asyncdsm.agent.queries.answer_limits import MOST_EDGES, MOST_LAGS, MOST_PATHWAYS, MOST_SERVICES, AnswerLimits
from asyncdsm.agent.queries.current_state import IDLE, current_states
from asyncdsm.agent.queries.edge_facts import FactsOfEdges, facts_of_edges
from asyncdsm.agent.queries.edges_and_points import EdgesAndPoints
from asyncdsm.agent.queries.kafka_clusters import clusters_of, hop_fields, split_tags
from asyncdsm.agent.queries.lag import NO_LAGS, Lags, current_lags
from asyncdsm.agent.queries.late_reports import age_of_reports
from asyncdsm.agent.queries.quantiles import GroupQuantiles, quantiles_of
from asyncdsm.agent.queries.queues import list_queues
from asyncdsm.agent.queries.time_ranges import covered_seconds, last_minutes
from asyncdsm.agent.store.histograms import Histograms, merge
from asyncdsm.agent.store.merger import by_point
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey, PointKey, edge_id
from asyncdsm.agent.store.resolutions import FOREVER, TimeRange
from asyncdsm.agent.store.versions import version_at
from asyncdsm.core.edge import MOST_PATHWAYS as MOST_PATHWAYS_OF_SERVICE
from asyncdsm.map.topology import (
    NO_QUANTILES,
    Edge,
    EdgeFacts,
    EdgeTraffic,
    PathwayPoint,
    Present,
    Quantiles,
    Service,
    ServiceVersion,
    Topology,
)

CLAMPED_SHARE = 0.05
"""If more than this share of an edge's latencies are exactly zero, the clocks of two hosts disagree."""
MANY_PATHWAYS = 0.8 * MOST_PATHWAYS_OF_SERVICE
"""From this number on, a service is close to having more pathways than Datadog accepts."""


def topology(store: Store, minutes: int) -> Topology:
    """Return the topology of the last `minutes`."""
    return topology_of(store, last_minutes(store, minutes))


def topology_of(
    store: Store, time_range: TimeRange, *, pathway_latencies: bool = True, whole_minute: bool = False
) -> Topology:
    """Return the topology of a time range. Without the latencies of pathways, it takes much less time."""
    traffic = EdgesAndPoints.of(store, store.sum_edges(time_range))
    keys = traffic.keys
    seconds = covered_seconds(store, time_range) if keys else 0.0
    lags = current_lags(store, time_range) if time_range.first < store.now() else NO_LAGS
    states = current_states(store, time_range, whole_minute=whole_minute) if keys else {}
    limits = AnswerLimits()
    facts = facts_of_edges(store, time_range)
    edges = _edges(traffic, seconds, lags.groups, states=states, facts=facts, limits=limits)
    services = _services(store, time_range, keys, edges)
    latencies = _read_latencies(store, time_range) if pathway_latencies else {}
    now = store.now()
    return Topology(
        from_=time_range.first,
        to=time_range.last if time_range.first >= now else min(time_range.last, now),
        minutes=max(0, ceil((min(time_range.last, now // 60 * 60 + 60) - time_range.first) / 60)),
        seconds=round(seconds, 3),
        services=limits.keep_largest("services", services, MOST_SERVICES, lambda service: service.last_seen or 0.0),
        queues=list_queues(store, time_range, edges, keys),
        edges=edges,
        pathways=_pathway_points(traffic, latencies, limits),
        lag=limits.keep_largest("lag", lags.partitions, MOST_LAGS, lambda lag: lag.behind),
        cut=limits.left_out,
    )


def points_of(store: Store, time_range: TimeRange) -> tuple[list[PointKey], Histograms]:
    """Return the points of a time range in order, and what they counted: group `i` is point `i`."""
    labels, histograms = store.merge_rows(time_range, by_point)
    looked_up = [(store.points.keys.get(label), group) for group, label in enumerate(labels.tolist())]
    known = sorted((key, group) for key, group in looked_up if key is not None)
    place = np.full(len(labels), -1, np.int64)
    place[[group for _, group in known]] = np.arange(len(known))
    return [key for key, _ in known], merge(histograms.select_groups(place >= 0).relabel(place))


def edge_traffic(edge: EdgeKey, cluster: str, count: float, seconds: float, lags: Lags) -> EdgeTraffic:
    """Return an edge with its traffic: `count` messages in `seconds`. `cluster` is empty if it is unknown."""
    tags = split_tags(edge.tags)
    group, is_kafka = tags.get("group"), tags.get("type") == "kafka"
    lag = lags.get((group, tags.get("topic", ""), cluster or None)) if is_kafka and group is not None else None
    trend, done_in = (None, None) if lag is None else lag.velocity
    return EdgeTraffic(
        id=edge_id(edge),
        service=edge.service,
        env=edge.env,
        cluster=cluster or None,
        tags=list(edge.tags),
        count=count,
        rate=count / seconds if seconds else 0.0,
        lag=None if lag is None else lag.behind,
        lag_seconds=None if lag is None else lag.seconds,
        lag_trend=trend,
        lag_done_in=done_in,
        **hop_fields(tags),
    )


def _edges(
    traffic: EdgesAndPoints,
    seconds: float,
    lags: Lags,
    *,
    states: Mapping[EdgeKey, Present],
    facts: FactsOfEdges,
    limits: AnswerLimits,
) -> list[Edge]:
    edges, by_group, clamped = traffic.edges, traffic.by_edge, traffic.clamped
    clusters, counts, owners = clusters_of(traffic.keys), by_group.counts, [edge[:2] for edge in edges]
    return [
        _edge(
            edge_traffic(edges[group], clusters[edges[group]], float(counts[group]), seconds, lags),
            by_group,
            group,
            states.get(edges[group], IDLE),
            clamped[group],
            facts=facts.describe(edges[group], float(counts[group])),
        )
        for group in limits.keep_busiest("edges", counts, owners, MOST_EDGES, edges.__getitem__)
    ]


def _edge(
    traffic: EdgeTraffic,
    by_group: GroupQuantiles,
    group: int,
    state: Present,
    clamped: float,
    *,
    facts: EdgeFacts | None,
) -> Edge:
    edge_latency, pathway_latency, payload_size = by_group.of_group(group)
    return Edge(
        **asdict(traffic),
        edge_latency=edge_latency,
        pathway_latency=pathway_latency,
        payload_size=payload_size,
        present=state,
        clamped=clamped,
        clocks_disagree=clamped > CLAMPED_SHARE,
        facts=facts,
    )


def _services(store: Store, time_range: TimeRange, keys: Iterable[PointKey], edges: Iterable[Edge]) -> list[Service]:
    pathways: dict[tuple[str, str], set[tuple[int, int]]] = {}
    for key in keys:
        pathways.setdefault((key.service, key.env), set()).add((key.hash, key.parent))
    disagreeing = {(edge.service, edge.env) for edge in edges if edge.clocks_disagree}
    until = time_range.last if time_range.last < store.now() else FOREVER
    seen = {
        service: last
        for service, last in store.services().items()
        if time_range.first <= last <= until or service in pathways
    }
    versions = store.versions()
    return [
        Service(
            name=name,
            env=env,
            last_seen=seen.get((name, env)),
            pathways=count,
            many_pathways=count >= MANY_PATHWAYS,
            too_many_pathways=count > MOST_PATHWAYS_OF_SERVICE,
            # A latency below zero is proof; zeros have to be many.
            clocks_disagree=(name, env) in disagreeing or facts.negatives_at >= max(time_range.first, 1.0),
            version=facts.version if until == FOREVER else version_at(runs, until),
            versions=[ServiceVersion(run.version, run.since) for run in runs if run.since <= until],
            process_tags=list(facts.process_tags),
            lang=facts.lang,
            reports_age=age_of_reports(store, (name, env), seen.get((name, env))) if until == FOREVER else None,
        )
        for name, env in sorted({*seen, *pathways})
        for facts, count in [(store.facts.lookup(name, env), len(pathways.get((name, env), ())))]
        for runs in [versions.get((name, env), ())]
    ]


Latencies = Mapping[PointKey, tuple[Quantiles, Quantiles]]
"""The edge latency and the pathway latency of points."""


def _read_latencies(store: Store, time_range: TimeRange) -> Latencies:
    keys, histograms = points_of(store, time_range)
    by_group = GroupQuantiles.of_points(keys, histograms)
    return {
        key: (quantiles_of(by_group.edge, group), quantiles_of(by_group.pathway, group))
        for group, key in enumerate(keys)
    }


def _pathway_points(traffic: EdgesAndPoints, latencies: Latencies, limits: AnswerLimits) -> list[PathwayPoint]:
    keys, counts, owners = traffic.keys, traffic.counts, [key[:2] for key in traffic.keys]
    return [
        PathwayPoint(
            service=key.service,
            env=key.env,
            tags=list(key.tags),
            hash=str(key.hash),
            parent=str(key.parent),
            count=float(counts[group]),
            edge_latency=edge_latency,
            pathway_latency=pathway_latency,
        )
        for group in limits.keep_busiest("pathways", counts, owners, MOST_PATHWAYS, keys.__getitem__)
        for key in [keys[group]]
        for edge_latency, pathway_latency in [latencies.get(key, (NO_QUANTILES, NO_QUANTILES))]
    ]
