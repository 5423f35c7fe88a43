"""kafka-python: `asyncdsm.wrap(producer)`, `asyncdsm.wrap(consumer)`, or `asyncdsm.instrument("kafka")`.

`client` is what is known of one client; `produce` follows the records that it sends, `consume` those that it receives;
`offsets` records what was acknowledged and committed, `lag` how much is still to be read.
"""

from __future__ import annotations

from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.coordinator.consumer import ConsumerCoordinator
from kafka.producer.record_accumulator import RecordAccumulator

from asyncdsm.integration import Integration, Pathway
from asyncdsm.integration.formats.kafka_records import find_record_pathway
from asyncdsm_kafka_python import consume, lag, offsets, produce
from asyncdsm_kafka_python.client import follow_consumer, follow_producer

__all__ = ["KafkaPython", "integration"]


class KafkaPython(Integration):
    """Follows producers and consumers."""

    package: str = "kafka"
    versions: tuple[str, str] = ("3.0", "3.0")
    wraps: str = "a KafkaProducer or a KafkaConsumer"

    def is_client(self, client: object) -> bool:
        """Say whether an object is a producer or a consumer."""
        return isinstance(client, (KafkaProducer, KafkaConsumer))

    def follow(self, client: Any) -> Any:
        """Put the hooks on one producer or consumer."""
        if isinstance(client, KafkaProducer):
            producer: Any = client
            follow_producer(producer)
            self._hook_producer(producer, producer._accumulator)
        else:
            self._hook_consumer(client)
            if client._coordinator is not None:
                follow_consumer(client)
                self._hook_coordinator(client._coordinator)
            lag.report_lag(client)
        return client

    def hook_classes(self) -> None:
        """Put the hooks on every producer and consumer, including those that exist already."""
        self._hook_producer(KafkaProducer, RecordAccumulator)
        self._hook_consumer(KafkaConsumer)
        self._hook_coordinator(ConsumerCoordinator)

    def unhook_classes(self) -> None:
        """Report no more lag of consumers that were not wrapped."""
        lag.forget_instrumented()

    def pathway_of(self, message: Any) -> Pathway | None:
        """Return the pathway of a consumed record; None for anything else."""
        return find_record_pathway(message) if isinstance(message, ConsumerRecord) else None

    def _hook_producer(self, producer: Any, accumulator: Any) -> None:
        put = self.hooks.put
        put(producer, "send", produce.observe_send)
        put(accumulator, "append", produce.hook_append)
        put(producer, "send_offsets_to_transaction", offsets.observe_transaction_offsets)
        put(producer, "commit_transaction", offsets.observe_commit_transaction)
        put(producer, "abort_transaction", offsets.observe_abort_transaction)

    def _hook_consumer(self, consumer: Any) -> None:
        self.hooks.put(consumer, "poll", consume.hook_poll)
        self.hooks.put(consumer, "_message_generator_v2", consume.hook_iteration)

    def _hook_coordinator(self, coordinator: Any) -> None:
        self.hooks.put(coordinator, "_handle_offset_commit_response", offsets.observe_commit)


integration: KafkaPython = KafkaPython()
