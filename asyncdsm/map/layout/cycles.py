"""Chooses the links that a layered layout has to reverse, so that the graph has no cycle."""

from __future__ import annotations

from collections.abc import Collection

from asyncdsm.map.layout.adjacency import Adjacency, Pair


def links_against_flow(graph: Adjacency, entries: Collection[int]) -> set[Pair]:
    """Return the pairs to reverse so that the graph has no cycle; each of them is part of one.

    A cycle is cut in front of the node where pathways begin (`entries`), so that what leads back to it is reversed; if
    none begins there, in front of the node where messages enter it. Of a cycle within a cycle, it is the other way
    round: messages come to it from the start of the outer one.
    """
    against = set[Pair]()
    parts = [(set(range(len(graph.after))), False)]
    while parts:
        part, is_inner = parts.pop()
        part = _without_ends(graph, part)
        if not part:
            continue
        cycle = _strong_component(graph, part, min(part))
        parts.append((part - cycle, is_inner))
        if len(cycle) > 1:
            start = _start_of(graph, cycle, entries, is_inner)
            against |= {(source, start) for source in graph.before[start] if source in cycle}
            parts.append((cycle - {start}, True))
    return against


def _without_ends(graph: Adjacency, part: set[int]) -> set[int]:
    """Return `part` without the nodes at its ends, to which nothing leads or which lead nowhere, again and again."""
    rest, to_check = set(part), list(part)
    while to_check:
        node = to_check.pop()
        if node in rest and (rest.isdisjoint(graph.before[node]) or rest.isdisjoint(graph.after[node])):
            rest.remove(node)
            to_check += rest.intersection((*graph.before[node], *graph.after[node]))
    return rest


def _strong_component(graph: Adjacency, part: set[int], node: int) -> set[int]:
    """Return `node` and the nodes of `part` to which it leads and which lead back to it."""
    return _reachable(graph.after, part, node) & _reachable(graph.before, part, node)


def _reachable(neighbors: list[list[int]], part: set[int], node: int) -> set[int]:
    found, to_visit = {node}, [node]
    while to_visit:
        new = part.intersection(neighbors[to_visit.pop()]) - found
        found |= new
        to_visit += new
    return found


def _start_of(graph: Adjacency, cycle: set[int], entries: Collection[int], is_inner: bool) -> int:
    """Return the node of a cycle that is to be its first.

    It is a node where pathways begin. If there is none, it is one to which others lead from outside, all of which come
    before the cycle; of a cycle within a cycle, this is the better one. Of several, it is the one that has the most
    links to the cycle, less those from it.
    """

    def preference(node: int) -> tuple[bool, bool, int, int]:
        incoming = len(cycle.intersection(graph.before[node]))
        outgoing = len(cycle.intersection(graph.after[node]))
        begins, is_fed = node in entries, len(graph.before[node]) > incoming
        first, second = (is_fed, begins) if is_inner else (begins, is_fed)
        return not first, not second, incoming - outgoing, node

    return min(cycle, key=preference)
