"""Clients of the stand-in for Service Bus. They speak asyncio only."""

from __future__ import annotations

import platform
from collections.abc import AsyncIterator

import pytest
from azure.servicebus.aio import ServiceBusClient

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.azure import AzureServer
from tests.integrations.servicebus.clients import Name, Pair, pair_of


@pytest.fixture(scope="session", autouse=True)
def known_platform() -> str:
    """Let Python ask the system for its name, which the client sends: it blocks, and is remembered."""
    return platform.platform()


@pytest.fixture
async def bare(servicebus: AzureServer) -> AsyncIterator[ServiceBusClient]:
    """A client that is not followed: it shows what is really on the wire."""
    async with ServiceBusClient.from_connection_string(servicebus.connection_string, retry_total=0) as client:
        yield client


@pytest.fixture
async def client(servicebus: AzureServer, captured_streams: Captured) -> AsyncIterator[ServiceBusClient]:
    """A client that is wrapped."""
    async with ServiceBusClient.from_connection_string(servicebus.connection_string, retry_total=0) as client:
        yield asyncdsm.wrap(client)


@pytest.fixture
async def pair(client: ServiceBusClient, name: Name) -> AsyncIterator[Pair]:
    """A sender and a receiver of one queue that are followed."""
    async with pair_of(client, name()) as pair:
        yield pair
