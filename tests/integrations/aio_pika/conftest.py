"""Connections and channels of aio-pika, wrapped and not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aio_pika
import pytest
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
)

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.rabbitmq import RabbitMQ


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


@pytest.fixture
async def plain(rabbitmq: RabbitMQ, captured_streams: Captured) -> AsyncIterator[AbstractConnection]:
    """A robust connection that is not wrapped."""
    async with await aio_pika.connect_robust(rabbitmq.url) as connection:
        yield connection
