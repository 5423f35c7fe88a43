"""Brokers of FastStream, each with the middleware, on a real Kafka and a real RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from asyncdsm_faststream import DataStreamsMiddleware
from faststream.confluent import KafkaBroker as ConfluentBroker
from faststream.kafka import KafkaBroker
from faststream.rabbit import RabbitBroker

import asyncdsm
from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.faststream.brokers import BrokerSetup

INSTRUMENTED = ("faststream", "aio_pika", "aiokafka", "aiomqtt", "confluent_kafka", "nats", "redis")


@pytest.fixture(params=["middleware", "instrumented"])
def options(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Return the options of brokers that have the middleware, or that are followed as are the clients below them."""
    if request.param == "middleware":
        yield {"middlewares": [DataStreamsMiddleware], "logger": None}
        return
    for name in INSTRUMENTED:
        asyncdsm.instrument(name)
    try:
        yield {"logger": None}
    finally:
        for name in INSTRUMENTED:
            asyncdsm.uninstrument(name)


@pytest.fixture(params=["aiokafka", "confluent", "rabbit"])
def setup(request: pytest.FixtureRequest) -> BrokerSetup:
    """Return a broker with the middleware, on each client in turn."""
    return _make_setup(request, {"middlewares": [DataStreamsMiddleware], "logger": None})


@pytest.fixture(params=["aiokafka", "confluent", "rabbit"])
def followed_setup(request: pytest.FixtureRequest, options: dict[str, Any]) -> BrokerSetup:
    """Return a broker on each client in turn, in both ways of being followed."""
    return _make_setup(request, options)


def _make_setup(request: pytest.FixtureRequest, options: dict[str, Any]) -> BrokerSetup:
    if request.param == "rabbit":
        rabbitmq: RabbitMQ = request.getfixturevalue("rabbitmq")
        return BrokerSetup(RabbitBroker(rabbitmq.url, **options), lambda: f"queue-{uuid4().hex[:12]}")
    kafka: Kafka = request.getfixturevalue("kafka")
    if request.param == "aiokafka":
        broker: Any = KafkaBroker(kafka.bootstrap, **options)
    else:
        broker = ConfluentBroker(kafka.bootstrap, allow_auto_create_topics=False, **options)
    return BrokerSetup(broker, kafka.topic, auto_offset_reset="earliest")
