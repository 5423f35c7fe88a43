"""Every pathway through a service or a queue, from where messages begin to where they are seen last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from asyncdsm.agent.queries.answer_limits import within_bytes
from asyncdsm.agent.queries.answers import Hop, Pathways, WholePathway
from asyncdsm.agent.queries.kafka_clusters import clusters_of, hop_fields, queue_of, split_tags
from asyncdsm.agent.queries.quantiles import GroupQuantiles, quantiles_of
from asyncdsm.agent.queries.time_ranges import covered_seconds
from asyncdsm.agent.queries.topology import points_of
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey, PointKey, edge_id
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.map.levels import level_of, slowness_of
from asyncdsm.map.topology import Quantiles

MOST_PATHWAYS = 200
MOST_HOPS = 200
NodeFilter = Callable[[PointKey, str], bool]
"""Tells whether a point, whose queue is in a cluster (empty if unknown), is at the node that is asked for."""


def service_filter(name: str, env: str | None) -> NodeFilter:
    """Return a filter for the points of a service, in one environment or, for None, in all of them."""
    return lambda point, _: point.service == name and env in {None, point.env}


def queue_filter(type_: str, name: str, cluster: str | None = None) -> NodeFilter:
    """Return a filter for the points that lead to a queue or come from it, in one cluster or, for None, in all."""

    def is_at_queue(point: PointKey, point_cluster: str) -> bool:
        tags = split_tags(point.tags)
        return tags.get("type", "") == type_ and queue_of(tags) == name and cluster in {None, point_cluster}

    return is_at_queue


def pathways_through(store: Store, is_at_node: NodeFilter, time_range: TimeRange) -> Pathways:
    """Return the pathways through a node, those that take longest (in the median) first."""
    keys, histograms = points_of(store, time_range)
    by_group = GroupQuantiles.of_points(keys, histograms)
    seconds = covered_seconds(store, time_range)
    clusters = clusters_of(keys)
    at_node = {index for index, key in enumerate(keys) if is_at_node(key, clusters[key.edge])}
    found = [chain for chain in _chains(keys) if not at_node.isdisjoint(chain)]
    found.sort(key=lambda chain: -_median(by_group, chain[-1]))
    listed = list(within_bytes(_pathway(keys, by_group, chain, seconds, clusters) for chain in found[:MOST_PATHWAYS]))
    left_out = len(found) - len(listed)
    return Pathways(pathways=listed, cut={"pathways": left_out} if left_out else {})


def _chains(keys: Sequence[PointKey]) -> Iterator[list[int]]:
    """Yield each pathway as indexes of `keys`, the first hop first. If the hashes form a circle, it ends there."""
    by_hash: dict[int, list[int]] = {}
    for index, key in enumerate(keys):
        by_hash.setdefault(key.hash, []).append(index)
    parents = {key.parent for key in keys}
    for index, key in enumerate(keys):
        if key.hash in parents:
            continue
        chain, seen = [index], {key.hash}
        while (parent := keys[chain[-1]].parent) in by_hash and parent not in seen and len(chain) < MOST_HOPS:
            seen.add(parent)
            chain.append(by_hash[parent][0])
        yield chain[::-1]


def _median(by_group: GroupQuantiles, group: int) -> float:
    return float(by_group.pathway.p50[group]) if by_group.pathway.counts[group] else 0.0


def _pathway(
    keys: Sequence[PointKey],
    by_group: GroupQuantiles,
    chain: list[int],
    seconds: float,
    clusters: Mapping[EdgeKey, str],
) -> WholePathway:
    last = chain[-1]
    count = float(by_group.counts[last])
    return WholePathway(
        hash=str(keys[last].hash),
        count=count,
        rate=count / seconds,
        end_to_end=quantiles_of(by_group.pathway, last),
        hops=build_hops(keys, clusters, by_group, chain),
    )


def build_hops(
    keys: Sequence[PointKey], clusters: Mapping[EdgeKey, str], by_group: GroupQuantiles, chain: Sequence[int]
) -> list[Hop]:
    """Return the hops of a chain of points, given by their indexes, with the share that each has of their time."""
    means = [float(by_group.edge.mean[group]) if by_group.edge.counts[group] else None for group in chain]
    total = sum(mean or 0.0 for mean in means)
    return [
        _hop(
            keys[group],
            clusters[keys[group].edge],
            float(by_group.counts[group]),
            quantiles_of(by_group.edge, group),
            mean=mean,
            share=(mean or 0.0) / total if total else 0.0,
        )
        for group, mean in zip(chain, means, strict=True)
    ]


def _hop(key: PointKey, cluster: str, count: float, latency: Quantiles, *, mean: float | None, share: float) -> Hop:
    return Hop(
        service=key.service,
        env=key.env,
        edge=edge_id(key.edge),
        cluster=cluster or None,
        count=count,
        edge_latency=latency,
        mean=mean,
        level=level_of(slowness_of(latency.p50 or 0.0, latency.p99 or 0.0)),
        share=share,
        **hop_fields(split_tags(key.tags)),
    )
