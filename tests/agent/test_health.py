"""`/api/health` tells the truth: what is wrong, since when, how often; and that it is over."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store import conditions as conditions_module
from asyncdsm.agent.store.conditions import Conditions
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.delivery import retry
from asyncdsm.settings import Settings
from tests.agent.payloads import NOW, Client, bucket, payload, point
from tests.agent.test_forward import body, listening
from tests.agent.test_store import Clock
from tests.agent.test_store_file import fill, make_room


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.02)
    monkeypatch.setattr(retry, "LONGEST_DELAY", 0.1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    """Give the agent of `client` a store with a file and few pathways."""
    with closing(SQLiteStore(path, decode=read_report, now=lambda: NOW, max_points=250)) as store:
        yield store


async def problems(client: Client) -> dict[str, dict[str, Any]]:
    """Return what is wrong by name; the status says whether anything is."""
    shown = (await client.get("/api/health")).json()
    assert shown["status"] == ("degraded" if shown.get("problems") else "ok")
    return {problem["name"]: problem for problem in shown.get("problems", ())}


async def until(client: Client, is_so: Callable[[dict[str, dict[str, Any]]], bool]) -> dict[str, dict[str, Any]]:
    with anyio.fail_after(60):
        while not is_so(found := await problems(client)):
            await anyio.sleep(0.02)
        return found


async def test_full_disk_is_reported_until_there_is_room(client: Client, store: SQLiteStore) -> None:
    assert await problems(client) == {}
    await to_thread.run_sync(fill, store)
    large = [payload(bucket(*(point(Hash=hash_) for hash_ in range(n, 200)))) for n in range(4)]
    statuses = [(await client.report(one)).status_code for one in large]
    assert statuses[-1] == 507
    found = (await problems(client))["store"]
    assert found == {
        "name": "store",
        "problem": "database or disk is full",
        "since": NOW,
        "last": NOW,
        "count": statuses.count(507),
    }
    assert 'asyncdsm_agent_problems{name="store"}' in (await client.get("/api/metrics")).text
    await to_thread.run_sync(make_room, store)
    assert (await client.report(large[0])).status_code == 202
    assert await problems(client) == {}


async def test_too_many_pathways_are_reported(client: Client) -> None:
    for first in range(0, 600, 100):
        await client.report(payload(bucket(*(point(Hash=hash_) for hash_ in range(first, first + 100)))))
    found = await problems(client)
    assert list(found) == ["pathways"]
    assert found["pathways"]["count"] >= 350
    assert (
        f"asyncdsm_agent_pathways_forgotten_total {found['pathways']['count']}"
        in (await client.get("/api/metrics")).text
    )


@asynccontextmanager
async def forwarding_to(url: str) -> AsyncIterator[Client]:
    async with running_agent(forward=url) as agent, Client(base_url=agent.url) as client:
        yield client


async def test_forwarding_that_waits_is_reported_until_it_works() -> None:
    async with listening() as intake:
        port = int(intake.url.rpartition(":")[2])
    async with forwarding_to(intake.url) as client:
        await client.report(body(1), gzipped=True)
        found = await until(client, lambda found: "forward" in found)
        assert "payloads wait" in found["forward"]["problem"]
        async with listening(port):
            assert await until(client, lambda found: not found) == {}


async def test_forwarding_that_drops_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "max_outbox_bytes", 2 * len(body(1)) + 10)
    async with listening() as intake:
        pass
    async with forwarding_to(intake.url) as client:
        for number in range(5):
            await client.report(body(number), gzipped=True)
        found = await until(client, lambda found: found.get("forward_dropped", {}).get("count") == 3)
        assert "too many payloads wait" in found["forward_dropped"]["problem"]


async def test_forwarding_that_is_refused_is_reported() -> None:
    async with listening() as intake, forwarding_to(intake.url) as client:
        intake.answer = 403
        await client.report(body(1), gzipped=True)
        found = await until(client, lambda found: "forward_dropped" in found)
        assert "403" in found["forward_dropped"]["problem"]
        assert "forward" not in found


def test_conditions_begin_and_end() -> None:
    clock = Clock()
    conditions, began = Conditions(clock), clock.now
    conditions.note("room", "no room", 3)
    clock.now += 100
    conditions.note("room", "still no room", 2)
    assert conditions.present() == [
        {"name": "room", "problem": "still no room", "since": began, "last": began + 100, "count": 5}
    ]
    clock.now += conditions_module.LINGER_SECONDS
    assert conditions.present() == []
    conditions.note("room", "again", 1)
    assert [(one["since"], one["count"]) for one in conditions.present()] == [(clock.now, 1)]
    conditions.note("store", "full")
    clock.now += 1e6
    assert [one["name"] for one in conditions.present()] == ["store"]
    conditions.clear("store")
    assert conditions.present() == []


def modes(path: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}


def test_files_of_the_store_are_private(path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(SQLiteStore(path, decode=read_report)):
            found = modes(path)
    finally:
        os.umask(before)
    assert found == dict.fromkeys(["store.db", "store.db-wal", "store.db-shm", "store.db.lock"], 0o600)


def test_files_that_others_could_read_become_private(path: Path) -> None:
    # As a kill leaves them: with what SQLite keeps beside the file.
    script = (
        "import os, pathlib, sys; from asyncdsm.agent.store.sqlite.store import SQLiteStore; "
        "from asyncdsm.agent.intake.payload import read_report; "
        "store = SQLiteStore(pathlib.Path(sys.argv[1]), decode=read_report); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=60)
    assert len(modes(path)) == 4
    for file in path.parent.iterdir():
        file.chmod(0o666)
    path.parent.chmod(0o755)
    with closing(SQLiteStore(path, decode=read_report)):
        assert set(modes(path).values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
