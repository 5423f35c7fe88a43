"""Messages of 200 bytes through kafka-python and Apache Kafka: CPU of this process for producing and consuming one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import islice
from time import process_time
from typing import Any

from benchmarks.contest import Benchmark, Claim, Contestant, Figures
from benchmarks.sink import sink

BODY = b"x" * 200
BLOCKS = 4
CONTEXT = "dd-pathway-ctx-base64"

Follow = Callable[[Any], Any]
Headers = list[tuple[str, bytes]] | None


def bare(count: int) -> float:
    """Nobody follows the messages."""
    return _microseconds(count, lambda client: client, carries=False)


def bare_with_a_header(count: int) -> float:
    """Nobody follows the messages, and each has a header of a context's size, as its program gave it."""
    return _microseconds(count, lambda client: client, carries=False, headers=[("x" * len(CONTEXT), b"x" * 28)])


def asyncdsm_wrapped(count: int) -> float:
    """Clients that are wrapped."""
    import asyncdsm

    with asyncdsm.DataStreams() as streams:
        figure = _microseconds(count, asyncdsm.wrap, carries=True)
        assert streams.stats.recorded == 2 * (BLOCKS + 1) * count
        assert not streams.stats.errors
    return figure


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


def _added(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures[name] - figures["bare"]


BENCHMARK = Benchmark(
    title="Produce and consume a message through kafka-python, CPU",
    unit="µs",
    count=5_000,
    contestants=(
        Contestant("bare", "bare"),
        Contestant("bare, with a header of that size", "bare_with_a_header"),
        Contestant("asyncdsm.wrap", "asyncdsm_wrapped"),
    ),
    claims=(
        Claim("what asyncdsm adds", _added("asyncdsm.wrap"), unit="µs"),
        Claim("of that, kafka-python's own work on a header", _added("bare, with a header of that size"), unit="µs"),
        Claim("a message with asyncdsm, of one without", lambda figures: figures["asyncdsm.wrap"] / figures["bare"]),
    ),
    surroundings=_surroundings,
)
