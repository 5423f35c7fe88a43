"""aiokafka: `asyncdsm.wrap(producer)`, `asyncdsm.wrap(consumer)`, or `asyncdsm.instrument("aiokafka")`.

`client` is what is known of one client; `produce` and `batches` follow the records that it sends, `consume` those that
it receives; `offsets` records what was acknowledged and committed, `lag` how much is still to be read.
"""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.producer.message_accumulator import MessageAccumulator

from asyncdsm.integration import Integration, Pathway, after_await
from asyncdsm_aiokafka import batches, consume, lag, offsets, produce
from asyncdsm_aiokafka.client import observe_metadata

__all__ = ["AIOKafka", "integration"]


class AIOKafka(Integration):
    """Follows producers and consumers, whether they were started or not."""

    package: str = "aiokafka"
    versions: tuple[str, str] = ("0.10", "0.14")
    wraps: str = "an AIOKafkaProducer or an AIOKafkaConsumer"

    def is_client(self, client: object) -> bool:
        """Say whether an object is a producer or a consumer."""
        return isinstance(client, (AIOKafkaProducer, AIOKafkaConsumer))

    def follow(self, client: Any) -> Any:
        """Put the hooks on one producer or consumer."""
        if isinstance(client, AIOKafkaProducer):
            self._hook_producer(client, client._message_accumulator, client.client.cluster)
            produce.learn_size_limit(client)
        else:
            self._hook_consumer(client, client._client.cluster)
            self.hooks.put(client, "start", after_await(self._hook_started))
            if client._coordinator is not None:
                self._hook_started(None, client)
        return client

    def hook_classes(self) -> None:
        """Put the hooks on every producer and consumer, including those that exist already."""
        self._hook_producer(AIOKafkaProducer, MessageAccumulator, ClusterMetadata)
        self._hook_consumer(AIOKafkaConsumer, ClusterMetadata)
        self.hooks.put(AIOKafkaConsumer, "start", lag.observe_consumer_start)
        self.hooks.put(GroupCoordinator, "_do_commit_offsets", offsets.observe_commit)

    def unhook_classes(self) -> None:
        """Report no more lag of consumers that were not wrapped."""
        lag.forget_instrumented()

    def pathway_of(self, message: Any) -> Pathway | None:
        """Return the pathway of a consumed record; None for anything else."""
        return consume.find_message_pathway(message)

    def _hook_producer(self, producer: Any, accumulator: Any, cluster: Any) -> None:
        put = self.hooks.put
        put(cluster, "update_metadata", observe_metadata)
        put(producer, "start", produce.observe_producer_start)
        put(accumulator, "add_message", produce.hook_add_message, hot=True)
        put(accumulator, "_append_batch", offsets.observe_batch)
        put(producer, "create_batch", batches.observe_create_batch)
        put(producer, "send_batch", batches.hook_send_batch)
        put(producer, "send_offsets_to_transaction", offsets.observe_transaction_offsets)
        put(producer, "commit_transaction", offsets.observe_commit_transaction)
        put(producer, "abort_transaction", offsets.observe_abort_transaction)

    def _hook_consumer(self, consumer: Any, cluster: Any) -> None:
        self.hooks.put(cluster, "update_metadata", observe_metadata)
        self.hooks.put(consumer, "getone", consume.hook_getone)
        self.hooks.put(consumer, "getmany", consume.hook_getmany)

    def _hook_started(self, _result: Any, consumer: Any, /, *_args: Any, **_more: Any) -> None:
        """Follow a wrapped consumer further, once its `start` has made its coordinator, which commits offsets."""
        lag.follow_consumer(consumer)
        if isinstance(consumer._coordinator, GroupCoordinator):  # one without a group commits nothing
            self.hooks.put(consumer._coordinator, "_do_commit_offsets", offsets.observe_commit)


integration: AIOKafka = AIOKafka()
