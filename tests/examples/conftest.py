"""Brokers for one example: examples use the same names of topics and queues, and must find them empty."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from asyncdsm.agent.http.server import RunningAgent, running_agent
from tests.brokers.kafka import Kafka
from tests.brokers.noida import noida
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.rabbitmq import rabbitmq as run_rabbitmq


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run the tests of the examples on asyncio."""
    return "asyncio"


@pytest.fixture
def empty_kafka() -> Iterator[Kafka]:
    """A Kafka of the test's own."""
    with noida() as kafka:
        yield kafka


@pytest.fixture
def empty_rabbitmq() -> Iterator[RabbitMQ]:
    """A RabbitMQ of the test's own."""
    with run_rabbitmq() as broker:
        yield broker


@pytest.fixture
async def agent() -> AsyncIterator[RunningAgent]:
    """The agent that an example sends to."""
    async with running_agent() as agent:
        yield agent
