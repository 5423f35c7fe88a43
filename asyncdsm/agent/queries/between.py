"""How long messages take from one node to another one that is later on their pathways.

A message is at a queue when it is sent to it, at a service when it is received; where a pathway begins, it is at its
first node then. So times add up: from A to B and from B to C is from A to C. Of a message that is at a node several
times, as in a retry loop, the time is from the first time at one node to the first time at the other one after that.

No message is followed by itself: a point counts how long its messages took since the checkpoint before, and since
their pathway began. This is exact for a single hop, and from the beginning of a pathway. Otherwise the latencies of the
hops are added as if they did not depend on each other. Two bounds hold however they do: a message took at least as
long as its last hop, and at most as long as the whole pathway up to the last node, both of which are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from asyncdsm.agent.queries.answers import LatencyBetween, PathwayBetween
from asyncdsm.agent.queries.connections import Connection, find_connections
from asyncdsm.agent.queries.distributions import Distribution, distribution_of
from asyncdsm.agent.queries.parameters import ApiError
from asyncdsm.agent.queries.pathway_graph import PathwayGraph, name_node
from asyncdsm.agent.queries.pathway_starts import begins_of, drop_starts
from asyncdsm.agent.queries.pathways import build_hops
from asyncdsm.agent.queries.quantiles import GroupQuantiles, quantiles_of
from asyncdsm.agent.queries.time_ranges import covered_seconds
from asyncdsm.agent.queries.topology import points_of
from asyncdsm.agent.store.histograms import EDGE, PATHWAY, Histograms, concat, merge, quantiles
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.map.descriptions import single_environments
from asyncdsm.map.graph import Node
from asyncdsm.map.node_lookup import find_nodes, list_candidates, shorten_name
from asyncdsm.map.topology import Quantiles

MOST_PATHWAYS = 200
"""How many pathways between two nodes are looked at, the busiest ones."""
MOST_ADDED_HOPS = 1_000
"""How many hops are added to others: a millisecond or two each."""


def latency_between(
    store: Store, first: str, last: str, time_range: TimeRange, env: str | None = None
) -> LatencyBetween:
    """Return how long messages take from one node to another one, each given by an id or a name (`find_nodes`).

    Of an environment, only its services count, and the queues at which there is any of them. Raises ApiError:
    404 for an unknown node, 400 for an ambiguous name.
    """
    keys, histograms = points_of(store, time_range)
    graph = PathwayGraph(keys)
    start, end = _find_node(graph, "first", first, env), _find_node(graph, "last", last, env)
    by_group = GroupQuantiles.of_points(keys, histograms)
    found = sorted(find_connections(graph, start, end), key=lambda each: -by_group.counts[each.points[-1]])
    summary = _Summary(graph, drop_starts(histograms, begins_of(keys)), by_group, list(_affordable(found)))
    left_out = len(found) - len(summary.found)
    return summary.answer(start, end, covered_seconds(store, time_range), {"pathways": left_out} if left_out else {})


def _affordable(found: Sequence[Connection]) -> Iterator[Connection]:
    """Yield the first `MOST_PATHWAYS` connections, fewer if they have too many hops to add."""
    added: set[tuple[int, int]] = set()
    for connection in found[:MOST_PATHWAYS]:
        added |= {(connection.points[0], point) for point in connection.points[1:]}
        if len(added) > MOST_ADDED_HOPS:
            return
        yield connection


def _find_node(graph: PathwayGraph, parameter: str, name: str, env: str | None) -> Node:
    environments = single_environments(graph.uses)
    nodes = [
        node
        for node in graph.nodes
        if env is None or (node.where == env if node.kind == "service" else (node, env) in graph.uses)
    ]
    found = find_nodes(nodes, name, environments)
    if not found:
        where = "" if env is None else f" in the environment {shorten_name(env)}"
        problem = f"must name a service or a queue of the time range{where}, got {shorten_name(name)}"
        raise ApiError(404, parameter, f"{parameter} {problem}")
    if len(found) > 1:
        problem = (
            f"must name one node, but {shorten_name(name)} names {len(found)}: {list_candidates(found, environments)}"
        )
        raise ApiError(400, parameter, f"{parameter} {problem}")
    return found[0]


class _Summary:
    """Adds up what is known of some connections: three distributions of each, which are groups of histograms."""

    def __init__(
        self, graph: PathwayGraph, histograms: Histograms, by_group: GroupQuantiles, found: Sequence[Connection]
    ) -> None:
        self._graph, self._histograms, self._by_group = graph, histograms, by_group
        self.found = found
        self._sums: dict[tuple[int, ...], Distribution] = {}
        self._is_exact = [self._is_measured(each) for each in found]
        parts = concat(part for place in range(len(found)) for part in self._bounded(place))
        self._each = quantiles(merge(parts), 3 * len(found), EDGE)
        self._total = quantiles(merge(parts.relabel(np.arange(3 * len(found) + 1) % 3)), 3, EDGE)

    def answer(self, start: Node, end: Node, seconds: float, cut: dict[str, int]) -> LatencyBetween:
        """Return what is known of all connections together, and of each."""
        low, latency, high = self._quantiles(0, is_exact=all(self._is_exact), of_total=True)
        count = float(sum(self._by_group.counts[each.points[-1]] for each in self.found))
        return LatencyBetween(
            first=name_node(start),
            last=name_node(end),
            method=("exact" if all(self._is_exact) else "estimated") if self.found else None,
            count=count,
            rate=count / seconds,
            latency=latency,
            at_least=low,
            at_most=high,
            pathways=[self._pathway(place, seconds) for place in range(len(self.found))],
            cut=cut,
        )

    def _pathway(self, place: int, seconds: float) -> PathwayBetween:
        points, is_exact = self.found[place].points, self._is_exact[place]
        low, latency, high = self._quantiles(3 * place, is_exact=is_exact)
        count = float(self._by_group.counts[points[-1]])
        return PathwayBetween(
            hash=str(self._graph.keys[points[-1]].hash),
            method="exact" if is_exact else "estimated",
            count=count,
            rate=count / seconds,
            latency=latency,
            at_least=low,
            at_most=high,
            hops=build_hops(self._graph.keys, self._graph.clusters, self._by_group, points),
        )

    def _quantiles(
        self, group: int, *, is_exact: bool, of_total: bool = False
    ) -> tuple[Quantiles, Quantiles, Quantiles]:
        """Return the lower bound, the latency and the upper bound."""
        arrays = self._total if of_total else self._each
        low, latency, high = (quantiles_of(arrays, group + part) for part in range(3))
        return low, latency if is_exact else _limit_estimate(low, latency, high), high

    def _bounded(self, place: int) -> list[Histograms]:
        """Return the three distributions of a connection, as histograms of its three groups."""
        last = self.found[place].points[-1]
        hop, whole = (distribution_of(self._histograms, last, sketch) for sketch in (EDGE, PATHWAY))
        if self._is_exact[place]:
            low = latency = high = hop if len(self.found[place].points) == 1 else whole
        else:
            low, latency, high = hop, self._add_hops(self.found[place].points), whole
        count = float(self._by_group.counts[last])
        return [part.to_histograms(3 * place + at, EDGE, count) for at, part in enumerate((low, latency, high))]

    def _is_measured(self, connection: Connection) -> bool:
        """Tell whether it is one hop, or begins where the pathway does, so that its latency is counted."""
        whole = [*connection.before, *connection.points]
        latencies = self._by_group.edge
        return len(connection.points) == 1 or (
            self._graph.keys[whole[0]].parent == 0
            and all(latencies.zeros[point] == latencies.counts[point] for point in connection.before)
        )

    def _add_hops(self, points: Sequence[int]) -> Distribution:
        """Return the distribution of the sum of the hops. Pathways that have them in common share it."""
        key = tuple(points)
        known = self._sums.get(key)
        if known is None:
            known = distribution_of(self._histograms, points[-1], EDGE)
            if len(points) > 1:
                known = self._add_hops(points[:-1]).add(known)
            self._sums[key] = known
        return known


def _limit_estimate(low: Quantiles, latency: Quantiles, high: Quantiles) -> Quantiles:
    """Return an estimate within its bounds. The longest time of a single message cannot be estimated."""

    def limit(name: str) -> float | None:
        least, value, most = (getattr(each, name) for each in (low, latency, high))
        return None if None in {least, value, most} else max(least, min(most, value))

    return Quantiles(limit("p50"), limit("p95"), limit("p99"), None)
