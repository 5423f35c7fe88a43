"""Messages of 200 bytes through confluent-kafka and Apache Kafka: CPU of this process for producing and polling one.

librdkafka's own threads are counted in: they do the same for everybody.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from time import process_time
from typing import Any

from benchmarks.contest import Benchmark, Claim, Contestant, Figures
from benchmarks.sink import sink

BODY = b"x" * 200
BLOCKS = 4
POLL_EVERY = 100
CONTEXT, TRACE = "dd-pathway-ctx-base64", "traceparent"
DDTRACE = {"DD_DATA_STREAMS_ENABLED": "true"}


def bare(count: int) -> float:
    """Nobody follows the messages."""
    return _microseconds(_topic(), count, carried=None)


def bare_with_callbacks(count: int) -> float:
    """Nobody follows the messages, and each has a delivery callback that does nothing, and a header of that size."""
    given = {"headers": [("x" * len(CONTEXT), b"x" * 28)], "on_delivery": lambda error, message: None}
    return _microseconds(_topic(), count, carried=None, **given)


def asyncdsm_wrapped(count: int) -> float:
    """The classes, wrapped."""
    import confluent_kafka

    import asyncdsm

    topic = _topic()
    kinds = asyncdsm.wrap(confluent_kafka.Producer), asyncdsm.wrap(confluent_kafka.Consumer)
    return _counted(lambda: _microseconds(topic, count, carried=CONTEXT, kinds=kinds), count)


def asyncdsm_instrumented(count: int) -> float:
    """All clients."""
    import asyncdsm

    topic = _topic()
    asyncdsm.instrument("confluent_kafka")
    return _counted(lambda: _microseconds(topic, count, carried=CONTEXT), count)


def ddtrace_patched(count: int) -> float:
    """What `ddtrace.patch` does to confluent-kafka."""
    topic = _topic()
    ddtrace: Any = import_module("ddtrace")
    ddtrace.patch(kafka=True)
    return _microseconds(topic, count, carried=CONTEXT)


def opentelemetry_instrumented(count: int) -> float:
    """What its instrumentor does to confluent-kafka, every span recorded and none exported."""
    topic = _topic()
    sdk: Any = import_module("opentelemetry.sdk.trace")
    package: Any = import_module("opentelemetry.instrumentation.confluent_kafka")
    package.ConfluentKafkaInstrumentor().instrument(skip_dep_check=True, tracer_provider=sdk.TracerProvider())
    return _microseconds(topic, count, carried=TRACE)


def _counted(measure: Callable[[], float], count: int) -> float:
    import asyncdsm

    with asyncdsm.DataStreams() as streams:
        figure = measure()
        assert streams.stats.recorded == 2 * (BLOCKS + 1) * count
        assert not streams.stats.errors
    return figure


def _microseconds(topic: str, count: int, *, carried: str | None, kinds: Any = None, **given: Any) -> float:
    """CPU time per message: the least of some blocks, behind one that warms up."""
    import confluent_kafka

    producer_kind, consumer_kind = kinds or (confluent_kafka.Producer, confluent_kafka.Consumer)
    broker = {"bootstrap.servers": os.environ["BENCHMARK_KAFKA"]}
    producer, consumer = producer_kind(broker), consumer_kind({**broker, "group.id": topic})
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    figures = [_block(producer, consumer, topic, count, carried, given) for _ in range(BLOCKS + 1)]
    consumer.close()
    return min(figures[1:])


def _block(  # noqa: PLR0917
    producer: Any, consumer: Any, topic: str, count: int, carried: str | None, given: dict[str, Any]
) -> float:
    start = process_time()
    for number in range(count):
        producer.produce(topic, BODY, **given)
        if number % POLL_EVERY == 0:
            producer.poll(0)
    assert producer.flush(60) == 0
    message, left = None, count
    while left:
        message = consumer.poll(60)
        assert message is not None
        assert message.error() is None
        left -= 1
    spent = process_time() - start
    names = {name for name, _ in (message.headers() if message else None) or ()}
    assert (names & {CONTEXT, TRACE} == {carried}) if carried else not names & {CONTEXT, TRACE}, "followed by the wrong"
    return spent / count * 1e6


def _topic() -> str:
    from tests.brokers.kafka import Kafka

    return Kafka(os.environ["BENCHMARK_KAFKA"]).topic()


@contextmanager
def _surroundings() -> Iterator[Mapping[str, str]]:
    from tests.brokers.apache_kafka import apache_kafka

    with apache_kafka() as kafka, sink() as environ:
        yield {**environ, "BENCHMARK_KAFKA": kafka.bootstrap}


def _added(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures[name] - figures["bare"]


def _share(name: str) -> Callable[[Figures], float]:
    return lambda figures: _added("asyncdsm.wrap")(figures) / _added(name)(figures)


BENCHMARK = Benchmark(
    title="Produce and poll a message through confluent-kafka, CPU",
    unit="µs",
    count=5_000,
    contestants=(
        Contestant("bare", "bare"),
        Contestant("bare, with a callback and a header of that size", "bare_with_callbacks"),
        Contestant("asyncdsm.wrap", "asyncdsm_wrapped"),
        Contestant("asyncdsm.instrument", "asyncdsm_instrumented"),
        Contestant("OpenTelemetry", "opentelemetry_instrumented"),
        Contestant("ddtrace, as it comes", "ddtrace_patched", DDTRACE),
    ),
    claims=(
        Claim("what asyncdsm adds", _added("asyncdsm.wrap"), unit="µs"),
        Claim(
            "of that, confluent-kafka's own work on a callback and a header",
            _added("bare, with a callback and a header of that size"),
            unit="µs",
        ),
        Claim("what OpenTelemetry adds", _added("OpenTelemetry"), unit="µs"),
        Claim("what ddtrace adds, as it comes", _added("ddtrace, as it comes"), unit="µs"),
        Claim("what asyncdsm adds, of OpenTelemetry", _share("OpenTelemetry")),
        Claim("what asyncdsm adds, of ddtrace as it comes", _share("ddtrace, as it comes"), 1 / 10),
    ),
    surroundings=_surroundings,
)
