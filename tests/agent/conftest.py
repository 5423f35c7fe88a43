"""An agent that listens on a port of its own, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.store.store import Store
from tests.agent.payloads import NOW, Client


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run the loop that uvicorn runs on."""
    return "asyncio"


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave room for every column of a table, whatever terminal the tests run in."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def store() -> Store:
    """Keep what the agent takes; it is always `NOW`."""
    return Store(now=lambda: NOW)


@pytest.fixture
async def client(store: Store) -> AsyncIterator[Client]:
    """Talk HTTP with an agent."""
    async with running_agent(store=store) as agent, Client(base_url=agent.url, timeout=20) as client:
        yield client
