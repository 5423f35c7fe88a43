"""What is known of one aiokafka client: its cluster, its group, its edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from asyncdsm.core.edge import Edge, keep
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
        self.out: dict[str, Edge] = _OutEdges(self)
        """The edges of producing to a topic, made when they are asked for.

        A topic that is no string raises MalformedValueError, or TypeError where it has no hash."""
        self.into: dict[str, Edge] = _InEdges(self)
        """Those of consuming from a topic."""

    def learn_cluster_id(self, cluster_id: Any) -> None:
        """Take the id that a metadata response brought; edges named without it are named anew."""
        name = read_name(cluster_id)
        if name is not None and name != self.cluster_id:
            self.cluster_id = name
            self.out, self.into = _OutEdges(self), _InEdges(self)


class _OutEdges(dict[str, Edge]):
    """The edges of producing to a topic, by topic."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client

    def __missing__(self, topic: str) -> Edge:
        edge = make_out_edge(topic, self._client.cluster_id)
        keep(self, topic, edge)
        return edge


class _InEdges(_OutEdges):
    """Those of consuming from a topic."""

    def __missing__(self, topic: str) -> Edge:
        edge = make_in_edge(topic, self._client.group, self._client.cluster_id)
        keep(self, topic, edge)
        keep(last_in_edge, topic, edge)
        return edge


last_in_edge: dict[str, Edge] = {}
"""By topic, for a record that does not say who consumed it."""


def client_of(cluster: Any) -> Client:
    """Return what is known of the client whose `ClusterMetadata` this is."""
    try:
        return cluster._asyncdsm  # type: ignore[no-any-return]
    except AttributeError:
        client = cluster._asyncdsm = Client()
        return client
