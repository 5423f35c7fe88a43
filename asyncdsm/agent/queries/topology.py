"""What the store means: services, queues, the edges between them, pathways and lag. Plain data for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np

from asyncdsm.agent.queries.clusters import clusters_of, named_tags, queue_of
from asyncdsm.agent.queries.figures import Figures
from asyncdsm.agent.queries.lag import current_lags
from asyncdsm.agent.queries.limits import MOST_EDGES, MOST_LAGS, MOST_PATHWAYS, MOST_SERVICES, Cut
from asyncdsm.agent.queries.present import IDLE, present_of
from asyncdsm.agent.queries.time_ranges import covered_seconds, last_minutes
from asyncdsm.agent.store.histograms import Histograms, merge
from asyncdsm.agent.store.merger import by_point
from asyncdsm.agent.store.registry import EdgeKey, PointKey, edge_id
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.agent.store.store import Store
from asyncdsm.core.edge import MOST_PATHWAYS as MOST_PATHWAYS_OF_SERVICE

CLAMPED_SHARE = 0.05
"""So many of an edge's latencies are exactly zero where the clocks of two machines disagree."""


def topology(store: Store, minutes: int) -> dict[str, Any]:
    """Return the map of the last `minutes`. Latencies in seconds, sizes in bytes, hashes as decimal text."""
    return topology_of(store, last_minutes(store, minutes))


def topology_of(store: Store, span: TimeRange) -> dict[str, Any]:
    """Return the map of a span."""
    keys, cells = points_of(store, span)
    seconds = covered_seconds(store, span) if keys else 0.0
    lags = current_lags(store, span)
    present = present_of(store, span) if keys else {}
    cut = Cut()
    edges = _edges(keys, cells, seconds, summed(lags), present=present, cut=cut)
    services = _services(store, span, keys, edges)
    now = store.now()
    to = min(span.last, now)
    return {
        "from": span.first,
        "to": to,
        "minutes": max(0, ceil((min(span.last, now // 60 * 60 + 60) - span.first) / 60)),
        "seconds": round(seconds, 3),
        "services": cut.largest("services", services, MOST_SERVICES, lambda service: service["last_seen"] or 0.0),
        "queues": _queues(edges),
        "edges": edges,
        "pathways": _pathways(keys, cells, cut),
        "lag": cut.largest("lag", lags, MOST_LAGS, lambda lag: lag["behind"]),
        **cut.shown(),
    }


def points_of(store: Store, span: TimeRange) -> tuple[list[PointKey], Histograms]:
    """Return the points of a span in order, and what they counted: group `i` is point `i`."""
    labels, cells = store.merge_rows(span, by_point)
    named = [(store.points.keys.get(label), group) for group, label in enumerate(labels.tolist())]
    known = sorted((key, group) for key, group in named if key is not None)
    place = np.full(len(labels), -1, np.int64)
    place[[group for _, group in known]] = np.arange(len(known))
    return [key for key, _ in known], merge(cells.select_groups(place >= 0).relabel(place))


Lags = Mapping[tuple[str, str, str | None], int]
"""Messages behind in all partitions, by group, topic and cluster id."""


def summed(lags: Iterable[Mapping[str, Any]]) -> Lags:
    """Return the lag of each group in a topic."""
    sums: dict[tuple[str, str, str | None], int] = {}
    for lag in lags:
        key = lag["group"], lag["topic"], lag["cluster_id"]
        sums[key] = sums.get(key, 0) + lag["behind"]
    return sums


def edge_shown(edge: EdgeKey, cluster: str, count: float, seconds: float, lags: Lags) -> dict[str, Any]:
    """Return what names an edge, and how much passed there."""
    named = named_tags(edge.tags)
    group, is_kafka = named.get("group"), named.get("type") == "kafka"
    reads = group or "", named.get("topic", ""), named.get("kafka_cluster_id")
    return {
        "id": edge_id(edge),
        "service": edge.service,
        "env": edge.env,
        "direction": named.get("direction", ""),
        "type": named.get("type", ""),
        "cluster": cluster or None,
        "queue": queue_of(named),
        "group": group,
        "tags": list(edge.tags),
        "count": count,
        "rate": count / seconds if seconds else 0.0,
        "lag": lags.get(reads) if is_kafka and group is not None else None,
    }


def _edges(
    keys: Sequence[PointKey],
    cells: Histograms,
    seconds: float,
    lags: Lags,
    *,
    present: Mapping[EdgeKey, dict[str, Any]],
    cut: Cut,
) -> list[dict[str, Any]]:
    places: dict[EdgeKey, int] = {}
    clusters = clusters_of(keys)
    edge_of = np.array([places.setdefault(key.edge, len(places)) for key in keys], np.int64)
    by_edge = merge(cells.relabel(edge_of)) if keys else cells
    shown = Figures.of(by_edge, len(places))
    listed = list(places)
    behind_another = np.array([key.parent != 0 for key in keys], np.bool_)
    hops = Figures.of(merge(cells.select_groups(behind_another).relabel(edge_of)), len(places)) if keys else shown
    return [
        {
            **edge_shown(edge, clusters[edge], float(shown.edge.counts[place]), seconds, lags),
            **shown.stats(place),
            "present": present.get(edge, IDLE),
            "clamped": float(hops.edge.zeros[place] / hops.edge.counts[place]) if hops.edge.counts[place] else 0.0,
        }
        for place in cut.busiest(
            "edges", shown.edge.counts, [edge[:2] for edge in listed], MOST_EDGES, listed.__getitem__
        )
        for edge in [listed[place]]
    ]


def _services(
    store: Store, span: TimeRange, keys: Iterable[PointKey], edges: Iterable[dict[str, Any]]
) -> list[dict[str, Any]]:
    pathways: dict[tuple[str, str], set[tuple[int, int]]] = {}
    for key in keys:
        pathways.setdefault((key.service, key.env), set()).add((key.hash, key.parent))
    disagreeing = {(edge["service"], edge["env"]) for edge in edges if edge["clamped"] > CLAMPED_SHARE}
    seen = {service: last for service, last in store.services().items() if last >= span.first or service in pathways}
    return [
        {
            "name": name,
            "env": env,
            "last_seen": seen.get((name, env)),
            "pathways": len(pathways.get((name, env), ())),
            "too_many_pathways": len(pathways.get((name, env), ())) > MOST_PATHWAYS_OF_SERVICE,
            # A latency below zero is proof; zeros have to be many.
            "clocks_disagree": (name, env) in disagreeing or facts.negatives_at >= max(span.first, 1.0),
            "version": facts.version,
            "process_tags": list(facts.process_tags),
            "lang": facts.lang,
        }
        for name, env in sorted({*seen, *pathways})
        for facts in [store.facts.lookup(name, env)]
    ]


def _queues(edges: Iterable[dict[str, Any]]) -> list[dict[str, str | None]]:
    queues = {(edge["type"], edge["queue"], edge["cluster"] or "") for edge in edges if edge["queue"]}
    return [{"type": type_, "name": name, "cluster": cluster or None} for type_, name, cluster in sorted(queues)]


def _pathways(keys: Sequence[PointKey], cells: Histograms, cut: Cut) -> list[dict[str, Any]]:
    shown = Figures.of(cells, len(keys))
    return [
        {
            "service": key.service,
            "env": key.env,
            "tags": list(key.tags),
            "hash": str(key.hash),
            "parent": str(key.parent),
            "count": float(shown.edge.counts[place]),
            "edge_latency": shown.edge.stats(place),
            "pathway_latency": shown.pathway.stats(place),
        }
        for place in cut.busiest(
            "pathways", shown.edge.counts, [key[:2] for key in keys], MOST_PATHWAYS, keys.__getitem__
        )
        for key in [keys[place]]
    ]
