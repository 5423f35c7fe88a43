"""In which layer each node is: links lead from lower layers to higher ones."""

from __future__ import annotations

from asyncdsm.map.layered.adjacency import Adjacency


def ranks_of(graph: Adjacency) -> list[int]:
    """Return the layer of each node of a graph without cycles, from 0 on.

    A node to which nothing leads is in layer 0. Any other is as near to the nodes before it as its links allow; if it
    has more links to nodes after it, then as near to those.
    """
    order = _topological_order(graph)
    ranks = [0] * len(order)
    for node in order:
        ranks[node] = max((ranks[source] + 1 for source in graph.before[node]), default=0)
    for node in reversed(order):
        if 0 < len(graph.before[node]) < len(graph.after[node]):
            ranks[node] = min(ranks[target] for target in graph.after[node]) - 1
    return ranks


def _topological_order(graph: Adjacency) -> list[int]:
    """Return the nodes, each after all nodes that lead to it."""
    missing = [len(sources) for sources in graph.before]
    ready = [node for node, sources in enumerate(graph.before) if not sources]
    order = list[int]()
    while ready:
        node = ready.pop()
        order.append(node)
        for target in graph.after[node]:
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    return order
