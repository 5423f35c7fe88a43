"""Payloads are forwarded even if the agent itself refuses them, fails, or cannot store them."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from anyio import to_thread

from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.intake import body as body_module
from asyncdsm.agent.intake import ingest_queue
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import GZIP, INTAKE, MSGPACK, NOW, Client, bucket, payload, point, sketch
from tests.agent.test_forward import accounts, body, listening, passing_on
from tests.agent.test_store_file import fill, make_room
from tests.intake import Intake


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    with closing(SQLiteStore(path, decode=read_report, now=lambda: NOW)) as store:
        yield store


@asynccontextmanager
async def forwarding(store: SQLiteStore) -> AsyncIterator[tuple[Client, Intake]]:
    """Run an agent with a store that forwards to an intake."""
    async with (
        listening() as intake,
        running_agent(store=store, forward=intake.url) as agent,
        Client(base_url=agent.url, timeout=30) as client,
    ):
        yield client, intake


REFUSED = {
    "not msgpack": (b"\xc1", MSGPACK, 400),
    "nothing": (b"", MSGPACK, 400),
    "another content type": (payload(bucket(point())), {"Content-Type": "application/json"}, 415),
    "no content type": (payload(bucket(point())), {}, 415),
    "another encoding": (b"packed in a way of its own", {**MSGPACK, "Content-Encoding": "zstd"}, 415),
    "gzip cut off": (gzip.compress(payload())[:20], GZIP, 400),
}


@pytest.mark.parametrize(("content", "headers", "status"), REFUSED.values(), ids=REFUSED.keys())
async def test_payload_refused_by_the_intake_is_forwarded_unchanged(
    content: bytes, headers: dict[str, str], status: int
) -> None:
    async with passing_on() as (client, intake):
        assert (await client.post(INTAKE, content=content, headers=headers)).status_code == status
        await accounts(client, lambda shown: shown["delivered"] == 1)
    assert intake.accepted == [content]
    ((_, _, sent, _),) = intake.requests
    assert {name: sent.get(name.lower()) for name in GZIP} == {name: headers.get(name) for name in GZIP}


async def test_payload_with_negative_values_is_forwarded() -> None:
    content = payload(bucket(point(EdgeLatency=sketch(negative={1: 1}))))
    async with passing_on() as (client, intake):
        await client.report(content)
        await accounts(client, lambda shown: shown["delivered"] == 1)
    assert intake.accepted == [content]


async def test_payload_that_the_decoder_fails_on_is_forwarded(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a fault of the decoder")

    monkeypatch.setattr(ingest_queue, "read_report", fail)
    async with passing_on() as (client, intake):
        assert (await client.report(body(1), gzipped=True)).status_code == 500
        await accounts(client, lambda shown: shown["delivered"] == 1)
    assert intake.accepted == [body(1)]


async def test_payload_that_is_too_large_is_counted_as_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "MAX_BODY_BYTES", 1000)
    async with passing_on() as (client, _):
        assert (await client.report(bytes(1001))).status_code == 413
        shown = await accounts(client, lambda shown: shown["recorded"] == 1)
    assert shown["dropped"] == {"too large": 1}


async def test_full_disk_forwards_every_payload_once(store: SQLiteStore) -> None:
    await to_thread.run_sync(fill, store)
    large = [gzip.compress(payload(bucket(*(point(Hash=n * 1000 + i) for i in range(300)))), 0) for n in range(8)]
    async with forwarding(store) as (client, intake):
        statuses = [(await client.report(one, gzipped=True)).status_code for one in large]
        assert statuses[-1] == 507
        # Its sender was told to try again, and does: Datadog has it already.
        assert (await client.report(large[-1], gzipped=True)).status_code == 507
        await to_thread.run_sync(make_room, store)
        assert (await client.report(large[-1], gzipped=True)).status_code == 202
        await accounts(client, lambda shown: shown["delivered"] == len(large))
        await accounts(client, lambda shown: shown["pending"] == 0)
    assert sorted(intake.accepted) == sorted(large)


def drop_journal(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE journal")


def lock(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    return connection


async def test_unusable_file_does_not_stop_forwarding(store: SQLiteStore, path: Path) -> None:
    async with forwarding(store) as (client, intake):
        await to_thread.run_sync(drop_journal, path)
        assert (await client.report(body(1), gzipped=True)).status_code == 503
        await accounts(client, lambda shown: shown["delivered"] == 1)
    assert intake.accepted == [body(1)]


async def test_store_locked_by_another_program_does_not_delay_forwarding(store: SQLiteStore, path: Path) -> None:
    async with forwarding(store) as (client, intake):
        other = await to_thread.run_sync(lock, path)
        answer = await client.report(body(1), gzipped=True)  # after SQLite's time limit
        assert (answer.status_code, intake.accepted) == (503, [body(1)])
        await to_thread.run_sync(other.close)
        assert (await client.report(body(2), gzipped=True)).status_code == 202


async def test_header_that_is_not_ascii_is_forwarded_unchanged() -> None:
    async with passing_on() as (client, intake):
        headers = [*MSGPACK.items(), ("X-Name", "caf\xe9".encode("latin-1"))]
        await client.post(INTAKE, content=body(1), headers=headers)  # type: ignore[arg-type]
        await client.report(body(2), gzipped=True)
        await accounts(client, lambda shown: shown["delivered"] == 2)
    assert intake.accepted == [body(1), body(2)]


async def test_hop_by_hop_headers_are_not_forwarded() -> None:
    async with passing_on() as (client, intake):
        headers = {**GZIP, "Connection": "keep-alive, X-Hop", "X-Hop": "1", "Proxy-Authorization": "x", "X-End": "2"}
        await client.post(INTAKE, content=body(1), headers=headers)
        await accounts(client, lambda shown: shown["delivered"] == 1)
    ((_, _, sent, _),) = intake.requests
    assert sent["x-end"] == "2"
    assert not {"x-hop", "proxy-authorization", "connection"} & set(sent)
