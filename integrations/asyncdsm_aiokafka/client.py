"""What is known of one aiokafka client: its cluster, its group, its edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from asyncdsm.core.edge import Edge, EdgeCache
from asyncdsm.integration.formats.kafka import make_in_edge, make_out_edge, read_name

if TYPE_CHECKING:
    from asyncdsm_aiokafka.offsets import ConsumerLag

DEFAULT_LARGEST_RECORD = 1 << 20


class Client:
    """Hangs on the client's cluster metadata, which all of its parts share."""

    def __init__(self) -> None:
        self.cluster_id: str | None = None
        self.group: str | None = None
        self.injects = True
        """False once the broker refused a batch with headers."""
        self.largest_record = DEFAULT_LARGEST_RECORD
        self.lag_source: ConsumerLag | None = None
        self.counted: WeakValueDictionary[int, Any] | None = None
        """The records that were counted, by id, where the consumer's `getone` or `getmany` is not aiokafka's own."""
        self.transaction: list[tuple[str, Any]] = []
        """Groups and offsets that the open transaction will commit."""
        self.out = EdgeCache[str](self._make_out_edge)
        """The edges of producing to a topic.

        A topic that is not a string raises MalformedValueError, or TypeError if it has no hash."""
        self.into = EdgeCache[str](self._make_in_edge)
        """The edges of consuming from a topic."""

    def learn_cluster_id(self, cluster_id: Any) -> None:
        """Take the id that a metadata response brought; edges named without it are named anew."""
        name = read_name(cluster_id)
        if name is not None and name != self.cluster_id:
            self.cluster_id = name
            self.out.clear()
            self.into.clear()

    def _make_out_edge(self, topic: str) -> Edge:
        return make_out_edge(topic, self.cluster_id)

    def _make_in_edge(self, topic: str) -> Edge:
        edge = make_in_edge(topic, self.group, self.cluster_id)
        last_in_edge.store(topic, edge)
        return edge


last_in_edge = EdgeCache[str](lambda topic: make_in_edge(topic, None, None))
"""By topic, for a record that does not say who consumed it."""


def client_of(cluster: Any) -> Client:
    """Return what is known of the client whose `ClusterMetadata` this is."""
    try:
        return cluster._asyncdsm  # type: ignore[no-any-return]
    except AttributeError:
        client = cluster._asyncdsm = Client()
        return client
