"""The message clients speak asyncio only: so do their tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection

import asyncdsm
from asyncdsm.core import current
from asyncdsm.testing import Captured
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.kombu import clients as kombu_clients


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run the async tests of this folder on asyncio alone."""
    return "asyncio"


@pytest.fixture
def name() -> Callable[[], str]:
    """Return a fresh name for a queue or an exchange at each call."""
    return lambda: f"n{uuid4().hex[:10]}"


@pytest.fixture
async def connection(rabbitmq: RabbitMQ, captured_streams: Captured) -> AsyncIterator[AbstractConnection]:
    """A robust connection that is wrapped."""
    async with await aio_pika.connect_robust(rabbitmq.url) as connection:
        yield asyncdsm.wrap(connection)


@pytest.fixture
async def channel(connection: AbstractConnection) -> AsyncIterator[AbstractChannel]:
    """A channel of the wrapped connection."""
    async with connection.channel() as channel:
        yield channel


@pytest.fixture
async def bare(rabbitmq: RabbitMQ) -> AsyncIterator[AbstractChannel]:
    """A channel of a connection that is not wrapped: what it says is what really stands on the broker."""
    async with await aio_pika.connect(rabbitmq.url) as connection:
        yield await connection.channel()


@pytest.fixture(params=["memory", "redis", "rabbitmq"])
def kombu_broker(request: pytest.FixtureRequest) -> kombu_clients.Broker:
    """Each broker that Kombu is tested with, one after the other."""
    if request.param == "memory":
        return kombu_clients.Broker("memory://", "memory")
    broker = request.getfixturevalue(request.param)
    return kombu_clients.Broker(broker if isinstance(broker, str) else broker.url, request.param)


@pytest.fixture(scope="module")
def tidy_kombu() -> Iterator[None]:
    """Leave nothing of Kombu's behind a module."""
    yield
    kombu_clients.tidy()


@pytest.fixture
def instrumented_kombu() -> Iterator[None]:
    """Follow every connection of Kombu's."""
    asyncdsm.instrument("kombu")
    yield
    asyncdsm.uninstrument("kombu")
    current.set_current(None)  # what a test asked for last
