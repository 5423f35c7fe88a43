"""Clients of the stand-in for Service Bus. They speak asyncio only."""

from __future__ import annotations

import platform
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from azure.servicebus.aio import ServiceBusClient

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.azure import AzureServer
from tests.integrations.servicebus.clients import Links, Pair


@pytest.fixture(scope="session", autouse=True)
def known_platform() -> str:
    """Let Python ask the system for its name, which the client sends: it blocks, and is remembered."""
    return platform.platform()


@pytest.fixture(scope="module")
async def bare(servicebus: AzureServer) -> AsyncIterator[ServiceBusClient]:
    """A client that is not followed: it shows what is really on the wire."""
    async with ServiceBusClient.from_connection_string(servicebus.connection_string, retry_total=0) as client:
        yield client


@pytest.fixture(scope="module")
async def client(servicebus: AzureServer) -> AsyncIterator[ServiceBusClient]:
    """A client that is wrapped."""
    async with ServiceBusClient.from_connection_string(servicebus.connection_string, retry_total=0) as client:
        yield asyncdsm.wrap(client)


@pytest.fixture(scope="module")
async def links(bare: ServiceBusClient, client: ServiceBusClient) -> AsyncIterator[Links]:
    """What opens senders and receivers of these clients."""
    links = Links()
    yield links
    await links.close()


@pytest.fixture(scope="module")
async def shared_pair(links: Links, client: ServiceBusClient) -> Pair:
    """A sender and a receiver that are followed, for all tests of a module: each leaves their queue empty."""
    return await links.open_pair(client, f"q{uuid4().hex[:10]}")


@pytest.fixture
def pair(shared_pair: Pair, captured_streams: Captured) -> Pair:
    """A sender and a receiver of one queue that are followed."""
    return shared_pair
