"""Every pathway through a service or a queue, from where messages begin to where they are seen last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from asyncdsm.agent.queries.changes import level_of, slowness_of
from asyncdsm.agent.queries.clusters import clusters_of, named_tags, queue_of
from asyncdsm.agent.queries.figures import Figures
from asyncdsm.agent.queries.limits import within_bytes
from asyncdsm.agent.queries.time_ranges import covered_seconds
from asyncdsm.agent.queries.topology import points_of
from asyncdsm.agent.store.registry import EdgeKey, PointKey, edge_id
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.agent.store.store import Store

MOST_PATHWAYS = 200
MOST_HOPS = 200
Node = Callable[[PointKey, str], bool]
"""Says whether a point, whose queue is in a cluster (empty if unknown), is at the node that is looked at."""


def at_service(name: str, env: str | None) -> Node:
    """Return what knows the points of a service, in one env or all."""
    return lambda point, _: point.service == name and env in {None, point.env}


def at_queue(type_: str, name: str, cluster: str | None = None) -> Node:
    """Return what knows the points that lead to a queue or come from it, in one cluster or all."""

    def is_there(point: PointKey, where: str) -> bool:
        named = named_tags(point.tags)
        return named.get("type", "") == type_ and queue_of(named) == name and cluster in {None, where}

    return is_there


def pathways(store: Store, node: Node, span: TimeRange) -> dict[str, Any]:
    """Return the pathways through a node, those that take longest (in the median) first."""
    keys, cells = points_of(store, span)
    figures = Figures.of(cells, len(keys))
    seconds = covered_seconds(store, span)
    clusters = clusters_of(keys)
    there = {place for place, key in enumerate(keys) if node(key, clusters[key.edge])}
    found = [chain for chain in _chains(keys) if not there.isdisjoint(chain)]
    found.sort(key=lambda chain: -_median(figures, chain[-1]))
    shown = list(within_bytes(_shown(keys, figures, chain, seconds, clusters) for chain in found[:MOST_PATHWAYS]))
    left_out = len(found) - len(shown)
    return {"pathways": shown, **({"cut": {"pathways": left_out}} if left_out else {})}


def _chains(keys: Sequence[PointKey]) -> Iterator[list[int]]:
    """Yield each pathway as places in `keys`, the first hop first. Where hashes go in a circle, it ends there."""
    by_hash: dict[int, list[int]] = {}
    for place, key in enumerate(keys):
        by_hash.setdefault(key.hash, []).append(place)
    parents = {key.parent for key in keys}
    for place, key in enumerate(keys):
        if key.hash in parents:
            continue
        chain, seen = [place], {key.hash}
        while (parent := keys[chain[-1]].parent) in by_hash and parent not in seen and len(chain) < MOST_HOPS:
            seen.add(parent)
            chain.append(by_hash[parent][0])
        yield chain[::-1]


def _median(figures: Figures, place: int) -> float:
    return float(figures.pathway.p50[place]) if figures.pathway.counts[place] else 0.0


def _shown(
    keys: Sequence[PointKey], figures: Figures, chain: list[int], seconds: float, clusters: Mapping[EdgeKey, str]
) -> dict[str, Any]:
    means = [float(figures.edge.mean[place]) if figures.edge.counts[place] else 0.0 for place in chain]
    whole, last = sum(means), chain[-1]
    count = float(figures.edge.counts[last])
    return {
        "hash": str(keys[last].hash),
        "count": count,
        "rate": count / seconds,
        "end_to_end": figures.pathway.stats(last),
        "hops": [
            _hop(keys[place], clusters[keys[place].edge], figures.edge.stats(place), mean / whole if whole else 0.0)
            for place, mean in zip(chain, means, strict=True)
        ],
    }


def _hop(key: PointKey, cluster: str, latency: dict[str, float | None], share: float) -> dict[str, Any]:
    named = named_tags(key.tags)
    return {
        "service": key.service,
        "env": key.env,
        "edge": edge_id(key.edge),
        "direction": named.get("direction", ""),
        "type": named.get("type", ""),
        "cluster": cluster or None,
        "queue": queue_of(named),
        "group": named.get("group"),
        "edge_latency": latency,
        "level": level_of(slowness_of(latency["p50"] or 0.0, latency["p99"] or 0.0)),
        "share": share,
    }
