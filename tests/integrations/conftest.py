"""Fixtures of several clients. The clients speak asyncio only, and so do their tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
)

import asyncdsm
from asyncdsm import TransactionExtractor
from asyncdsm._internal.transaction_extractor import EXTRACTOR_TYPES
from asyncdsm.core.extractors import set_extractors
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
def extracted(captured_streams: Captured) -> Iterator[Callable[[], list[tuple[str, str]]]]:
    """Set an extractor of each type for the header `Order-Id`; return what was found, as (type, id)."""
    set_extractors(TransactionExtractor(kind, kind, "Order-Id") for kind in EXTRACTOR_TYPES)
    yield lambda: [(made.checkpoint, made.id) for made in captured_streams.transactions]
    set_extractors(())


@pytest.fixture(scope="module")
def tidy_kombu() -> Iterator[None]:
    """Close Kombu's pools before and after a module: they lend connections that nobody follows to who asks next."""
    kombu_clients.tidy()
    yield
    kombu_clients.tidy()
