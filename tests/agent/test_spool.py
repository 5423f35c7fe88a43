"""Payloads that wait to be forwarded when the agent ends, or is killed, are forwarded after the next start."""

from __future__ import annotations

import os
import random
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import Timer
from time import monotonic, sleep
from typing import Any

import httpx2
import pytest
from msgspec.msgpack import encode

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.spool import Spool, SpooledPayload
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import GZIP, INTAKE, NOW
from tests.agent.test_forward import body
from tests.agent.test_serve import address, agent
from tests.intake import HANG, Intake, running_intake


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@contextmanager
def forwarding(path: Path | None, url: str) -> Iterator[tuple[Any, httpx2.Client]]:
    """Run the agent as a program that forwards to a URL. Yield its process and a client of it."""
    file = ["--store", str(path)] if path else []
    with agent(*file, "--forward", url) as process, httpx2.Client(base_url=address(process), timeout=20) as client:
        yield process, client


def send(client: httpx2.Client, *numbers: int) -> None:
    for number in numbers:
        headers = {**GZIP, "X-Number": str(number)}
        assert client.post(INTAKE, content=body(number), headers=headers).status_code == 202


def wait_for(client: httpx2.Client, **expected: int) -> dict[str, Any]:
    began = monotonic()
    while True:
        shown: dict[str, Any] = client.get("/api/health").json()["forwarded"]
        if expected.items() <= shown.items():
            return shown
        assert monotonic() - began < 60, shown
        sleep(0.02)


def wait_for_empty_spool(path: Path) -> None:
    """Wait until no payload in the file waits to be forwarded."""
    began = monotonic()
    with closing(sqlite3.connect(path)) as connection:
        while connection.execute("SELECT count(*) FROM forwards").fetchone()[0]:
            assert monotonic() - began < 60
            sleep(0.02)


@pytest.mark.parametrize("signal_", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda signal_: signal_.name)
def test_payloads_that_wait_at_the_end_are_forwarded_once_after_a_restart(path: Path, signal_: signal.Signals) -> None:
    port = free_port()  # where nobody listens yet
    url = f"http://127.0.0.1:{port}"
    with forwarding(path, url) as (process, client):
        send(client, *range(20))
        began = monotonic()
        process.send_signal(signal_)
        process.wait(timeout=20)
        assert monotonic() - began < 15
    with running_intake(port=port) as intake:
        with forwarding(path, url) as (_, client):
            shown = wait_for(client, delivered=20, pending=0)
            assert shown["recorded"] == 20
            send(client, 20)
            wait_for(client, delivered=21)
            wait_for_empty_spool(path)
            process.kill()
        with forwarding(path, url) as (_, client):
            assert wait_for(client, pending=0)["recorded"] == 0
    assert intake.accepted == [body(number) for number in range(21)]
    assert [headers["x-number"] for _, _, headers, _ in intake.requests] == [str(number) for number in range(21)]


def test_kills_during_forwarding_lose_no_payload(path: Path) -> None:
    acknowledged, kills, chance = set[bytes](), 4, random.Random(1)
    with running_intake() as intake:
        for kill in range(kills):
            with forwarding(path, intake.url) as (process, client):
                killing = Timer(0.05 + chance.random() * 0.3, process.kill)
                killing.start()
                with suppress(httpx2.HTTPError):
                    for number in count(kill * 10_000):
                        if client.post(INTAKE, content=body(number), headers=GZIP).status_code == 202:
                            acknowledged.add(body(number))
                killing.join()
        with forwarding(path, intake.url) as (_, client):
            wait_for(client, pending=0)
    assert len(acknowledged) > kills
    assert acknowledged <= set(intake.accepted)


def test_payload_with_unsendable_headers_does_not_block_the_others(path: Path) -> None:
    with closing(SQLiteStore(path, decode=read_report)) as store:  # by the clock that the agent has, too
        spool = store.open_spool(1000)
        assert spool is not None
        spool.add(SpooledPayload.create(body(1), [(b"X-Odd", b"a\x00b")]))
        store.save_spool()
    with running_intake() as intake, forwarding(path, intake.url) as (_, client):
        send(client, 2)
        assert wait_for(client, delivered=1, pending=0)["dropped"] == {"rejected": 1}
    assert intake.accepted == [body(2)]


def test_sigterm_ends_the_agent_while_the_target_hangs(path: Path) -> None:
    with running_intake(intake=Intake(answer=HANG)) as intake:
        url = intake.url
        with forwarding(path, url) as (process, client):
            send(client, 1, 2)
            began = monotonic()
            while not intake.requests:
                assert monotonic() - began < 60
                sleep(0.02)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=9) == 0  # one request alone may take ten seconds
    with running_intake(port=int(url.rpartition(":")[2])) as intake, forwarding(path, url) as (_, client):
        wait_for(client, delivered=2, pending=0)
    assert intake.accepted == [body(1), body(2)]


def test_agent_without_a_file_logs_lost_payloads_at_the_end() -> None:
    with forwarding(None, f"http://127.0.0.1:{free_port()}") as (process, client):
        send(client, 1, 2, 3)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    assert "asyncdsm agent lost 3 payloads, not forwarded before it ended" in said


def test_payload_refused_by_the_intake_is_spooled_in_the_file(path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with forwarding(path, url) as (process, client):
        assert client.post(INTAKE, content=b"\xc1", headers=GZIP).status_code == 400
        began = monotonic()
        with closing(sqlite3.connect(path)) as connection:
            while not connection.execute("SELECT count(*) FROM forwards").fetchone()[0]:
                assert monotonic() - began < 60
                sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    with running_intake(port=port) as intake, forwarding(path, url) as (_, client):
        wait_for(client, delivered=1)
    assert intake.accepted == [b"\xc1"]


def parcel(number: int, length: int = 10) -> SpooledPayload:
    return SpooledPayload.create(bytes([number]) * length, [(b"X-Number", b"%d" % number)])


def opened(path: Path, limit: int = 1000) -> tuple[SQLiteStore, Spool]:
    store = SQLiteStore(path, decode=read_report, now=lambda: NOW)
    spool = store.open_spool(limit)
    assert spool is not None
    return store, spool


def waiting(path: Path) -> list[bytes]:
    store, spool = opened(path)
    with closing(store):
        return [bytes(payload) for payload in spool.waiting()]


def test_oldest_payloads_are_dropped_beyond_the_limit(path: Path) -> None:
    store, spool = opened(path, limit=35)
    with closing(store):
        for number in range(3):
            spool.add(parcel(number))
        store.save_spool()
        spool.add(parcel(3))
        store.save_spool()
    assert waiting(path) == [bytes([number]) * 10 for number in (1, 2, 3)]


def test_finished_payloads_are_deleted_from_the_file(path: Path) -> None:
    store, spool = opened(path)
    with closing(store):
        payloads = [parcel(number) for number in range(4)]
        for payload in payloads[:3]:
            spool.add(payload)
        store.save_spool()
        spool.finish(payloads[1].number)
        spool.add(payloads[3])
        spool.finish(payloads[2].number)
        store.save_spool()
        assert spool.is_saved
    assert waiting(path) == [bytes([3]) * 10]


def test_payloads_that_could_not_be_saved_are_saved_with_the_next(path: Path) -> None:
    store, spool = opened(path, limit=1 << 20)
    with closing(store):
        connection = store._file._connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        for number in range(3):
            spool.add(parcel(number, length=50_000))
        with pytest.raises(sqlite3.Error, match="full"):
            store.save_spool()
        connection.execute("PRAGMA max_page_count = 1000000")
        spool.add(parcel(3))
        store.save_spool()
    store, spool = opened(path, limit=1 << 20)
    with closing(store):
        lengths = [(payload[0], len(payload)) for payload in spool.waiting()]
    assert lengths == [(0, 50_000), (1, 50_000), (2, 50_000), (3, 10)]


def test_payloads_older_than_the_kept_time_are_not_forwarded(path: Path) -> None:
    store, spool = opened(path)
    with closing(store):
        spool.add(parcel(1))
        store.save_spool()
    with closing(SQLiteStore(path, decode=read_report, now=lambda: NOW + 1e6)) as store:
        spool_later = store.open_spool(1000)
        assert spool_later is not None
        assert spool_later.waiting() == []


def test_file_of_an_earlier_version_gets_the_missing_tables(path: Path) -> None:
    with closing(SQLiteStore(path, decode=read_report, now=lambda: NOW)):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "DROP TABLE shares; DROP TABLE backlogs; CREATE TABLE backlogs (id INTEGER PRIMARY KEY, tags BLOB UNIQUE)"
        )
    store, spool = opened(path)
    with closing(store):
        spool.add(parcel(1))
        store.save_spool()
    assert waiting(path) == [bytes([1]) * 10]


@contextmanager
def full_disk(store: SQLiteStore) -> Iterator[None]:
    """Inside the block, the file cannot grow and nothing can be deleted from it, as on a full disk."""
    connection = store._file._connection

    def refuse(action: int, table: str | None, *_: object) -> int:
        is_refused = action in {sqlite3.SQLITE_DELETE, sqlite3.SQLITE_INSERT} and table == "forwards"
        return sqlite3.SQLITE_DENY if is_refused else sqlite3.SQLITE_OK

    connection.set_authorizer(refuse)
    try:
        yield
    finally:
        connection.set_authorizer(None)


def test_payloads_delivered_while_the_disk_is_full_are_not_delivered_again(path: Path) -> None:
    store, spool = opened(path)
    with closing(store):
        payloads = [parcel(number) for number in range(3)]
        for payload in payloads:
            spool.add(payload)
        store.save_spool()
        with full_disk(store):
            spool.finish(payloads[1].number)
            with pytest.raises(sqlite3.Error):
                store.save_spool()
    assert waiting(path) == [bytes([2]) * 10]


def test_spool_opens_on_a_full_disk(path: Path) -> None:
    store, spool = opened(path)
    with closing(store):
        payloads = [parcel(number) for number in range(3)]
        for payload in payloads:
            spool.add(payload)
        store.save_spool()
        spool.finish(payloads[0].number)
    store = SQLiteStore(path, decode=read_report, now=lambda: NOW)
    with closing(store):
        with full_disk(store):
            again = store.open_spool(1000)
        assert again is not None
        assert [payload[0] for payload in again.waiting()] == [1, 2]
        again.finish(payloads[1].number)
        store.save_spool()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT id FROM forwards").fetchall() == [(3,)]


def test_numbers_continue_after_a_restart_with_an_empty_spool(path: Path) -> None:
    store, spool = opened(path)
    with closing(store):
        spool.add(parcel(0))
        store.save_spool()
        spool.finish(1)
        store.save_spool()
    store, spool = opened(path)
    with closing(store):
        spool.add(parcel(1))
        store.save_spool()
    assert waiting(path) == [bytes([1]) * 10]


def test_payloads_that_an_earlier_version_wrote_after_the_mark_are_forwarded(path: Path) -> None:
    store, spool = opened(path)
    with closing(store):
        for number in range(9):
            spool.add(parcel(number))
        spool.finish(9)
        store.save_spool()
    with closing(sqlite3.connect(path)) as connection:  # it numbers from 1 again
        row = 1, NOW + 1, encode([(b"X-Number", b"1")]), b"body"
        connection.execute("INSERT INTO forwards VALUES (?, ?, ?, ?)", row)
        connection.commit()
    assert waiting(path) == [b"body"]
    assert waiting(path) == [b"body"]
