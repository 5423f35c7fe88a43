"""Which nodes messages reach from a node, and which ones they come from, on the pathways that they really took.

Two services that use the same queue need not have anything to do with each other: a pathway through one goes on only
where a point has it as its parent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from asyncdsm.agent.queries.answers import Downstream, RelatedNode
from asyncdsm.agent.queries.parameters import ApiError
from asyncdsm.agent.queries.pathway_graph import PathwayGraph, name_node
from asyncdsm.agent.queries.time_ranges import covered_seconds
from asyncdsm.agent.queries.topology import points_of
from asyncdsm.agent.store.histograms import EDGE, Floats, sum_by_group
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import edge_id
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.map.graph import Node

MOST_NODES = 2_000
"""How many nodes are listed in each direction, the nearest ones."""
IsNode = Callable[[Node], bool]


class _Found:
    """What is known of a node that was reached: how far it is, and what passed on the way there."""

    def __init__(self, distance: int) -> None:
        self.distance = distance
        self.count = 0.0
        self.edges: set[str] = set()


class _Step(NamedTuple):
    """A point, in the order of search: by the distance of the node after it."""

    distance: int
    point: int
    is_forwarded: bool
    """Whether the broker itself carried the messages on to the node before the point."""


class _Direction(NamedTuple):
    """A graph as one looks along with its messages, or against them."""

    before: Sequence[Node]
    after: Sequence[Node]
    previous: Sequence[Sequence[int]]
    following: Sequence[Sequence[int]]


def service_node(name: str, env: str | None) -> IsNode:
    """Return a function that tells whether a node is a service, in one environment or, for None, in any."""
    return lambda node: node.kind == "service" and node.name == name and env in {None, node.where}


def queue_node(name: str, type_: str | None, cluster: str | None) -> IsNode:
    """Return a function that tells whether a node is a queue; of any type or cluster where that is None."""
    return lambda node: (
        node.kind == "queue" and node.name == name and type_ in {None, node.where} and cluster in {None, node.cluster}
    )


def downstream_of(
    store: Store, parameter: str, is_node: IsNode, time_range: TimeRange, env: str | None = None
) -> Downstream:
    """Return what messages reach from a node, or from several, and what they come from.

    Of queues, only those count at which there is a service of the environment, if one is given.

    Raises ApiError (404), which names the parameter, if no service and no queue of the time range is such a node.
    """
    keys, histograms = points_of(store, time_range)
    graph = PathwayGraph(keys)
    silent = {Node("service", *names) for names, last in store.services().items() if last >= time_range.first}
    starts = {node for node in graph.nodes | silent if is_node(node) and _is_used_in(env, node, graph)}
    if not starts:
        raise ApiError(404, parameter, f"{parameter} must be that of a service or a queue of the time range")
    edges = histograms.select_sketch(EDGE)
    counts = sum_by_group(edges.groups, edges.counts, len(keys))
    seconds = covered_seconds(store, time_range)
    found = {
        "downstream": _search(graph, _along(graph), starts, counts),
        "upstream": _search(graph, _against(graph), starts, counts),
    }
    return Downstream(
        nodes=[name_node(node) for node in sorted(starts)],
        downstream=_list_nodes(found["downstream"], seconds),
        upstream=_list_nodes(found["upstream"], seconds),
        cut={name: len(each) - MOST_NODES for name, each in found.items() if len(each) > MOST_NODES},
    )


def _is_used_in(env: str | None, node: Node, graph: PathwayGraph) -> bool:
    return env is None or node.kind == "service" or (node, env) in graph.uses


def _along(graph: PathwayGraph) -> _Direction:
    return _Direction(graph.sources, graph.targets, graph.parents, graph.children)


def _against(graph: PathwayGraph) -> _Direction:
    return _Direction(graph.targets, graph.sources, graph.children, graph.parents)


def _search(graph: PathwayGraph, direction: _Direction, starts: set[Node], counts: Floats) -> dict[Node, _Found]:
    """Return the nodes that are reached from some, the nearest point first; each point is passed once."""
    queue = sorted(_first_steps(direction, starts))
    found: dict[Node, _Found] = {}
    passed: set[int] = set()
    while queue:
        distance, point, is_forwarded = heappop(queue)
        if point in passed:
            continue
        passed.add(point)
        reached = [(direction.after[point], distance)]
        if is_forwarded:
            reached.append((direction.before[point], distance - 1))
        for node, how_far in reached:
            known = found.setdefault(node, _Found(how_far))
            known.distance = min(known.distance, how_far)
            known.count += float(counts[point])
        found[direction.after[point]].edges.add(edge_id(graph.keys[point].edge))
        for following in direction.following[point]:
            is_forwarded = direction.before[following] != direction.after[point]
            heappush(queue, _Step(distance + 1 + is_forwarded, following, is_forwarded))
    return found


def _first_steps(direction: _Direction, starts: set[Node]) -> Iterator[_Step]:
    """Yield the points right after the nodes."""
    for point, before in enumerate(direction.before):
        if before in starts:
            yield _Step(1, point, is_forwarded=False)
        elif any(direction.after[previous] in starts for previous in direction.previous[point]):
            yield _Step(2, point, is_forwarded=True)


def _list_nodes(found: dict[Node, _Found], seconds: float) -> list[RelatedNode]:
    nearest = sorted(found.items(), key=lambda item: (item[1].distance, item[0]))[:MOST_NODES]
    return [
        RelatedNode(
            id=node.id,
            kind=node.kind,
            name=node.name,
            where=node.where,
            cluster=node.cluster or None,
            distance=each.distance,
            count=each.count,
            rate=each.count / seconds,
            edges=sorted(each.edges),
        )
        for node, each in nearest
    ]
