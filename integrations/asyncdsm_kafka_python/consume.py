"""Records that a consumer receives: in a loop, one at a time, and by `poll`, by partition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import time_ns
from typing import Any

from asyncdsm.integration import guarded, report_hook_error, set_current
from asyncdsm.integration.formats.kafka_records import consume_record, consume_record_batches
from asyncdsm_kafka_python.client import Client, follow_consumer
from asyncdsm_kafka_python.lag import report_lag


def hook_poll(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `KafkaConsumer.poll`, which the consumer's iterator calls too, with `update_offsets=False`."""

    def poll(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("update_offsets") is False:
            result = original(self, *args, **kwargs)
            _note_poll(self)
            return result
        set_current(None)  # a program that asks for the next records has finished the last ones
        batches = original(self, *args, **kwargs)
        try:
            _note_poll(self)
            return consume_record_batches(_prepare_client(self), batches)
        except Exception as error:
            report_hook_error(error)
            return batches

    return poll


def hook_iteration(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `KafkaConsumer._message_generator_v2`, from which `next(consumer)` and loops take their records."""

    def iterate(self: Any, /, *args: Any, **kwargs: Any) -> Iterator[Any]:
        records = original(self, *args, **kwargs)
        while True:
            set_current(None)
            try:
                record = next(records)
            except StopIteration:
                return
            _count_record(self, record)
            yield record

    return iterate


@guarded
def _note_poll(consumer: Any) -> None:
    follow_consumer(consumer).polled_ns = time_ns()


@guarded
def _count_record(consumer: Any, record: Any) -> None:
    consume_record(_prepare_client(consumer), record)


def _prepare_client(consumer: Any) -> Client:
    client = follow_consumer(consumer)
    client.refresh_cluster_id()
    if client.lag_source is None:
        report_lag(consumer)
    return client
