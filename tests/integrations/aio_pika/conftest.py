"""Connections and channels of aio-pika that are not wrapped."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aio_pika
import pytest
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
)

from asyncdsm.testing import Captured
from tests.brokers.rabbitmq import RabbitMQ


@pytest.fixture
async def bare(rabbitmq: RabbitMQ) -> AsyncIterator[AbstractChannel]:
    """A channel of a connection that is not wrapped: it shows what is really on the broker."""
    async with await aio_pika.connect(rabbitmq.url) as connection:
        yield await connection.channel()


@pytest.fixture
async def plain(rabbitmq: RabbitMQ, captured_streams: Captured) -> AsyncIterator[AbstractConnection]:
    """A robust connection that is not wrapped."""
    async with await aio_pika.connect_robust(rabbitmq.url) as connection:
        yield connection
