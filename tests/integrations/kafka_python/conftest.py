"""Producers and consumers, followed in each way, while checkpoints are captured."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka

WAYS = ["wrap", "instrument", "both"]
Make = Callable[..., Any]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run a test once for each way; "instrument" is undone afterwards."""
    if request.param != "wrap":
        asyncdsm.instrument("kafka")
    yield request.param
    asyncdsm.uninstrument("kafka")


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """Close what a test opens. kafka-python leaves sockets to the garbage collector, which warns of them."""
    with ExitStack() as stack:
        yield stack
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def make_bare(kafka: Kafka, opened: ExitStack) -> Make:
    """Make clients that are not followed: a consumer with a topic, a producer without."""

    def make(topic: str | None = None, **settings: Any) -> Any:
        if topic is None:
            client: Any = KafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=0, **settings)
        else:
            defaults = {"auto_offset_reset": "earliest", "consumer_timeout_ms": 20_000}
            client = KafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, **{**defaults, **settings})
        opened.callback(client.close)
        return client

    return make


@pytest.fixture
def make(make_bare: Make, captured_streams: Captured) -> Make:
    """Make wrapped clients."""
    return lambda *args, **settings: asyncdsm.wrap(make_bare(*args, **settings))


@pytest.fixture
def make_by(way: str, make_bare: Make, captured_streams: Captured) -> Make:
    """Make clients that are followed in each way."""

    def make_followed(*args: Any, **settings: Any) -> Any:
        client = make_bare(*args, **settings)
        return client if way == "instrument" else asyncdsm.wrap(client)

    return make_followed


def poll_all(consumer: Any, number: int) -> list[Any]:
    """Poll until a consumer has this many records; return them, each batch as it came."""
    batches = list[Any]()
    while sum(map(len, batches)) < number:
        batches += consumer.poll(timeout_ms=10_000).values()
    return batches
