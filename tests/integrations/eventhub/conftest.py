"""Clients of the stand-in for Event Hubs. They speak asyncio only."""

from __future__ import annotations

import platform
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.brokers.azure import AzureServer
from tests.integrations.eventhub.clients import Clients, Name


@pytest.fixture(scope="session", autouse=True)
def known_platform() -> str:
    """Let Python ask the system for its name, which the client sends: it blocks, and is remembered."""
    return platform.platform()


@pytest.fixture
async def clients(eventhubs: AzureServer, name: Name) -> AsyncIterator[Clients]:
    """Clients of one event hub, which are made when a test asks for them."""
    async with AsyncExitStack() as closing:
        yield Clients(eventhubs.connection_string, name(), closing)
