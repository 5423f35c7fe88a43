"""Messages of 200 bytes through kafka-python and Apache Kafka: CPU of this process for producing and consuming one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice
from time import process_time
from typing import Any

from benchmarks.client_contest import (
    BODY,
    CONTEXT,
    FIELD_NAME,
    FIELD_VALUE,
    Follow,
    follow_nothing,
    make_benchmark,
    measure_wrapped_blocking,
)
from benchmarks.sink import sink

BLOCKS = 4

Headers = list[tuple[str, bytes]] | None


def bare(count: int) -> float:
    """Nobody follows the messages."""
    return _microseconds(count, follow_nothing, carries=False)


def bare_with_a_field(count: int) -> float:
    """Nobody follows the messages, and each has a header of a context's size, as its program gave it."""
    return _microseconds(count, follow_nothing, carries=False, headers=[(FIELD_NAME, FIELD_VALUE.encode())])


def asyncdsm_wrapped(count: int) -> float:
    """Clients that are wrapped."""
    return measure_wrapped_blocking(partial(_microseconds, count, carries=True), 2 * (BLOCKS + 1) * count)


def _microseconds(count: int, follow: Follow, *, carries: bool, headers: Headers = None) -> float:
    """CPU time per message: the least of some blocks, behind one that warms up."""
    from kafka import KafkaConsumer, KafkaProducer

    from tests.brokers.kafka import Kafka

    kafka = Kafka(os.environ["BENCHMARK_KAFKA"])
    topic = kafka.topic()
    with (
        closing(KafkaProducer(bootstrap_servers=kafka.bootstrap)) as producer,
        closing(KafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")) as consumer,
    ):
        clients = follow(producer), follow(consumer)
        figures = [_block(*clients, topic, count, carries, headers) for _ in range(BLOCKS + 1)]
    return min(figures[1:])


def _block(  # noqa: PLR0917
    producer: Any, consumer: Any, topic: str, count: int, carries: bool, headers: Headers
) -> float:
    start = process_time()
    for _ in range(count):
        producer.send(topic, BODY, headers=headers)
    producer.flush()
    *_, last = islice(consumer, count)
    spent = process_time() - start
    assert (CONTEXT in dict(last.headers)) == carries, "followed by the wrong one, or by nobody"
    return spent / count * 1e6


@contextmanager
def _surroundings() -> Iterator[Mapping[str, str]]:
    from tests.brokers.apache_kafka import apache_kafka

    with apache_kafka() as kafka, sink() as environ:
        yield {**environ, "BENCHMARK_KAFKA": kafka.bootstrap}


BENCHMARK = make_benchmark("kafka-python", "Produce and consume a message", 5_000, _surroundings)
