"""What is known of one kafka-python client."""

from __future__ import annotations

from typing import Any

from asyncdsm.integration import LagSource
from asyncdsm.integration.formats.kafka import KafkaClient, read_name


class Client(KafkaClient):
    """Kept on a producer's accumulator, or on a consumer's coordinator and on the consumer."""

    def __init__(self, cluster: Any) -> None:
        super().__init__()
        self._cluster = cluster
        self.lag_source: LagSource | None = None
        """Set once a consumer is followed."""
        self.has_answers: bool = True
        """False for a producer with `acks=0`: its futures have offsets that no broker gave."""
        self.polled_ns: int | None = None
        """When the consumer was last polled, in nanoseconds since the epoch: what it holds is as old, or older."""

    def refresh_cluster_id(self) -> None:
        """Learn the cluster's id from the metadata that the client holds. **Hot**."""
        cluster_id = getattr(self._cluster, "cluster_id", None)
        if cluster_id != self.cluster_id:
            self.learn_cluster_id(cluster_id)


def follow_producer(producer: Any) -> Client:
    """Return what is known of a producer. **Hot**."""
    accumulator = producer._accumulator
    try:
        return accumulator._asyncdsm  # type: ignore[no-any-return]
    except AttributeError:
        client = accumulator._asyncdsm = Client(producer._metadata)
        client.has_answers = producer.config.get("acks") != 0
        limit = producer.config.get("max_request_size")
        if isinstance(limit, int):
            client.largest_message = limit
        return client


def follow_consumer(consumer: Any) -> Client:
    """Return what is known of a consumer. The first call learns its group. **Hot**."""
    try:
        return consumer._asyncdsm  # type: ignore[no-any-return]
    except AttributeError:
        client = consumer._asyncdsm = Client(consumer._client.cluster)
        client.group = read_name(consumer.config.get("group_id"))
        if consumer._coordinator is not None:
            consumer._coordinator._asyncdsm = client
        return client
