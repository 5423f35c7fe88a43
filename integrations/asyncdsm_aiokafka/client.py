"""What is known of one aiokafka client: its cluster, its group, its edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncdsm.edge import Edge

if TYPE_CHECKING:
    from asyncdsm_aiokafka.offsets import ConsumerLag

DEFAULT_LARGEST_RECORD = 1 << 20
MOST_TOPICS = 4096
"""Whose edges are kept; beyond, the one met first is made anew when it comes again."""


class Client:
    """Hangs on the client's cluster metadata, which all of its parts share."""

    def __init__(self) -> None:
        self.cluster_id: str | None = None
        self.group: str | None = None
        self.injects = True
        """False once the broker refused a batch with headers."""
        self.largest_record = DEFAULT_LARGEST_RECORD
        self.lag_source: ConsumerLag | None = None
        self.transaction: list[tuple[str, Any]] = []
        """Groups and offsets that the open transaction will commit."""
        self._out: dict[str, Edge] = {}
        self._in: dict[str, Edge] = {}

    def out_edge(self, topic: str) -> Edge:
        """Return the edge of producing to a topic."""
        edge = self._out.get(topic)
        if edge is None:
            edge = Edge("direction:out", f"topic:{topic}", "type:kafka", *self._cluster())
            _keep(self._out, topic, edge)
        return edge

    def in_edge(self, topic: str) -> Edge:
        """Return the edge of consuming from a topic; without a group it has no group tag (protocol §4)."""
        edge = self._in.get(topic)
        if edge is None:
            group = (f"group:{self.group}",) if self.group else ()
            edge = Edge("direction:in", f"topic:{topic}", "type:kafka", *group, *self._cluster())
            _keep(self._in, topic, edge)
            _keep(last_in_edge, topic, edge)
        return edge

    def learn_cluster_id(self, cluster_id: str | None) -> None:
        """Take the id that a metadata response brought; edges named without it are named anew."""
        if cluster_id and cluster_id != self.cluster_id:
            self.cluster_id = cluster_id
            self._out, self._in = {}, {}

    def _cluster(self) -> tuple[str, ...]:
        return (f"kafka_cluster_id:{self.cluster_id}",) if self.cluster_id else ()


last_in_edge: dict[str, Edge] = {}
"""By topic, for a record that does not say who consumed it."""


def _keep(edges: dict[str, Edge], topic: str, edge: Edge) -> None:
    if len(edges) >= MOST_TOPICS:
        edges.pop(next(iter(edges), ""), None)
    edges[topic] = edge


def client_of(cluster: Any) -> Client:
    """Return what is known of the client whose `ClusterMetadata` this is."""
    try:
        return cluster._asyncdsm  # type: ignore[no-any-return]
    except AttributeError:
        client = cluster._asyncdsm = Client()
        return client
