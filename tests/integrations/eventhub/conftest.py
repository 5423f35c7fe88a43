"""Clients of the stand-in for Event Hubs. They speak asyncio only."""

from __future__ import annotations

import platform
from collections.abc import AsyncIterator

import pytest

from tests.brokers.azure import AzureServer
from tests.integrations.eventhub.clients import Clients, Endings, Name


@pytest.fixture(scope="session", autouse=True)
def known_platform() -> str:
    """Let Python ask the system for its name, which the client sends: it blocks, and is remembered."""
    return platform.platform()


@pytest.fixture(scope="module")
async def endings(eventhubs: AzureServer) -> AsyncIterator[Endings]:
    """What is closed after the tests of a module, while the server still runs."""
    endings = Endings()
    yield endings
    await endings.await_all()


@pytest.fixture
def clients(eventhubs: AzureServer, name: Name, endings: Endings) -> Clients:
    """Clients of one event hub, which are made when a test asks for them."""
    return Clients(eventhubs.connection_string, name(), endings)
