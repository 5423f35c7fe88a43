"""The most important nodes of a graph that is too large to be read at once.

It begins with the links where something is wrong and with the busiest ones, and follows the busiest links from there:
so what is drawn hangs together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from heapq import heappop, heappush

from asyncdsm.map.graph import Graph, Link, Node, link_key

WRONG_SHARE, BUSY_SHARE = 2, 6
"""One node in two at most is chosen since something is wrong there, one in six at most since it is busy; the others are
chosen because they are next to one that is."""


def most_important(graph: Graph, most: int) -> frozenset[Node]:
    """Return `most` nodes of a graph, or all if it has no more. Those without links come last."""
    chosen = _Choice(graph, most)
    ranked = sorted(graph.links, key=lambda link: (_importance(link), link_key(link)))
    for link in ranked:
        if len(chosen.nodes) >= most // (WRONG_SHARE if _is_wrong(link) else BUSY_SHARE):
            break
        chosen.add(link)
    chosen.grow()
    for link in ranked:  # another part of the graph
        chosen.add(link)
        chosen.grow()
    rest = (node for node in graph.nodes if node not in chosen.nodes)
    return frozenset([*chosen.nodes, *rest][:most])


def _importance(link: Link) -> tuple[bool, float, float]:
    """Return what links are sorted by: first those where something is wrong, then the busiest."""
    if link.edge is None:
        return True, 0.0, 0.0
    return not _is_wrong(link), -link.edge.present.rate, -link.edge.count


def _is_wrong(link: Link) -> bool:
    """Return whether a link became slower, or its lag grows."""
    return link.edge is not None and (link.edge.present.state == "slower" or link.edge.lag_trend == "falling behind")


class _Choice:
    """The nodes that are chosen, in order, and the links that lead on from them, the busiest first."""

    def __init__(self, graph: Graph, most: int) -> None:
        self.nodes = dict[Node, None]()
        self._most = most
        self._links: defaultdict[Node, list[Link]] = defaultdict(list)
        for link in graph.links:
            self._links[link.source].append(link)
            self._links[link.target].append(link)
        self._next: list[tuple[float, int, tuple[Node, Node, str], Link]] = []

    def add(self, link: Link) -> None:
        """Choose both ends of a link, if there is room for them."""
        new = {link.source: None, link.target: None}.keys() - self.nodes.keys()
        if len(self.nodes) + len(new) > self._most:
            return
        for node in sorted(new):
            self.nodes[node] = None
            for each in self._links[node]:
                # Of equally busy links, one of the last node: what is drawn becomes long rather than broad.
                heappush(self._next, (_importance(each)[1], -len(self.nodes), link_key(each), each))

    def grow(self) -> None:
        """Follow the busiest links from what is chosen, as long as there is room."""
        for link in self._pop_links():
            self.add(link)

    def _pop_links(self) -> Iterator[Link]:
        while self._next and len(self.nodes) < self._most:
            yield heappop(self._next)[3]
