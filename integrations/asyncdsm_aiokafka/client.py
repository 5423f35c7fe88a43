"""What is known of one aiokafka client."""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

from asyncdsm.integration import LagSource, after
from asyncdsm.integration.formats.kafka import KafkaClient

DEFAULT_LARGEST_MESSAGE = 1 << 20


class Client(KafkaClient):
    """Kept on the client's cluster metadata, to which every part of the client has access."""

    def __init__(self) -> None:
        super().__init__()
        self.largest_message = DEFAULT_LARGEST_MESSAGE
        self.lag_source: LagSource | None = None
        """Set once a consumer is followed."""
        self.counted: WeakValueDictionary[int, Any] | None = None
        """The records that were counted, by id, where the consumer's `getone` or `getmany` is not aiokafka's own."""


def client_of(cluster: Any) -> Client:
    """Return what is known of the client whose `ClusterMetadata` this is."""
    try:
        return cluster._asyncdsm  # type: ignore[no-any-return]
    except AttributeError:
        client = cluster._asyncdsm = Client()
        return client


@after
def observe_metadata(_result: Any, cluster: Any, /, metadata: Any, *_args: Any, **_more: Any) -> None:
    """Observe `ClusterMetadata.update_metadata`: aiokafka does not keep the cluster's id, which passes here."""
    client_of(cluster).learn_cluster_id(getattr(metadata, "cluster_id", None))
