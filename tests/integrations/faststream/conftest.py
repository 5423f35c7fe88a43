"""Brokers of FastStream, each with the middleware, on a real Kafka and a real RabbitMQ."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from asyncdsm_faststream import DataStreamsMiddleware
from faststream.confluent import KafkaBroker as ConfluentBroker
from faststream.kafka import KafkaBroker
from faststream.rabbit import RabbitBroker

from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.faststream.brokers import BrokerSetup


@pytest.fixture(params=["aiokafka", "confluent", "rabbit"])
def setup(request: pytest.FixtureRequest) -> BrokerSetup:
    """Return a broker on each client in turn."""
    if request.param == "rabbit":
        rabbitmq: RabbitMQ = request.getfixturevalue("rabbitmq")
        rabbit = RabbitBroker(rabbitmq.url, middlewares=[DataStreamsMiddleware], logger=None)
        return BrokerSetup(rabbit, lambda: f"queue-{uuid4().hex[:12]}")
    kafka: Kafka = request.getfixturevalue("kafka")
    options: dict[str, Any] = {"middlewares": [DataStreamsMiddleware], "logger": None}
    if request.param == "aiokafka":
        broker: Any = KafkaBroker(kafka.bootstrap, **options)
    else:
        broker = ConfluentBroker(kafka.bootstrap, allow_auto_create_topics=False, **options)
    return BrokerSetup(broker, kafka.topic, auto_offset_reset="earliest")
