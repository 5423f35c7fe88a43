"""An agent that listens on a port of its own, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.store.clickhouse import store as clickhouse_store
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import NOW, Client
from tests.agent.stores import KINDS, Opener


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run the loop that uvicorn runs on."""
    return "asyncio"


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave room for every column of a table, whatever terminal the tests run in."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(params=KINDS)
def open_store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opener]:
    """Open stores of a kind: of each in turn, unless the test names some by `indirect`."""
    # What other agents wrote is seen at once, and nothing waits for more.
    monkeypatch.setattr(clickhouse_store, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(clickhouse_store, "REFRESH_SECONDS", 0.0)
    opener = Opener(request.param, tmp_path, lambda: request.getfixturevalue("clickhouse").address())
    yield opener
    opener.close()


@pytest.fixture
def store() -> SQLiteStore:
    """Keep what the agent takes; it is always `NOW`."""
    return SQLiteStore(now=lambda: NOW)


@pytest.fixture
async def client(store: SQLiteStore) -> AsyncIterator[Client]:
    """Talk HTTP with an agent."""
    async with running_agent(store=store) as agent, Client(base_url=agent.url, timeout=20) as client:
        yield client
