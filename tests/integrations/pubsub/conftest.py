"""Clients of Google Pub/Sub on the fake server, which runs once for all tests of a process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.pubsub import PubSubServer
from tests.integrations.pubsub.clients import (
    Names,
    make_async_publisher,
    make_async_subscriber,
    publishing,
    subscribing,
)


@pytest.fixture
def bare(pubsub: PubSubServer) -> Iterator[Names]:
    """What is done on the server by clients that are not followed: it shows what is really on the wire."""
    with publishing(pubsub.address) as publisher, subscribing(pubsub.address) as subscriber:
        yield Names(pubsub, publisher, subscriber)


@pytest.fixture
def publisher(pubsub: PubSubServer, captured_streams: Captured) -> Iterator[Any]:
    """A publisher that is wrapped."""
    with publishing(pubsub.address) as publisher:
        yield asyncdsm.wrap(publisher)


@pytest.fixture
def subscriber(pubsub: PubSubServer, captured_streams: Captured) -> Iterator[Any]:
    """A subscriber that is wrapped."""
    with subscribing(pubsub.address) as subscriber:
        yield asyncdsm.wrap(subscriber)


@pytest.fixture
async def async_publisher(pubsub: PubSubServer, captured_streams: Captured) -> AsyncIterator[PublisherAsyncClient]:
    """An async publisher that is wrapped."""
    publisher = make_async_publisher(pubsub.address)
    yield asyncdsm.wrap(publisher)
    await publisher.transport.close()


@pytest.fixture
async def async_subscriber(pubsub: PubSubServer, captured_streams: Captured) -> AsyncIterator[SubscriberAsyncClient]:
    """An async subscriber that is wrapped."""
    subscriber = make_async_subscriber(pubsub.address)
    yield asyncdsm.wrap(subscriber)
    await subscriber.transport.close()
