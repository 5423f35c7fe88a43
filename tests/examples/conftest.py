"""The agent that the examples report to, and brokers of their own for examples that must find them empty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asyncdsm.agent.http.server import RunningAgent
from tests.agent.running import agent as run_agent
from tests.brokers.apache_kafka import apache_kafka
from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.rabbitmq import rabbitmq as run_rabbitmq


@pytest.fixture
def agent() -> Iterator[RunningAgent]:
    """A running agent, which has seen nothing."""
    with run_agent() as running:
        yield running


@pytest.fixture
def empty_kafka() -> Iterator[Kafka]:
    """A Kafka of the test's own."""
    with apache_kafka() as kafka:
        yield kafka


@pytest.fixture
def empty_rabbitmq() -> Iterator[RabbitMQ]:
    """A RabbitMQ of the test's own."""
    with run_rabbitmq() as broker:
        yield broker
