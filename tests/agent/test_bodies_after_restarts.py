"""A body that is sent again to an agent that was restarted, or killed, meanwhile is counted once."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.limits import REMEMBERED_SECONDS
from asyncdsm.agent.store.reports import AcceptedPayload
from asyncdsm.agent.store.sqlite.accepted_bodies import AcceptedBodies
from asyncdsm.agent.store.sqlite.store import POINT_BYTES, SQLiteStore
from tests.agent.payloads import INTAKE, MSGPACK, NOW, bucket, payload, point
from tests.agent.test_repeated_bodies import BODY, OURS
from tests.agent.test_serve import address, agent

ENDS = pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@contextmanager
def served(path: Path, end: signal.Signals) -> Iterator[httpx2.Client]:
    """Talk to an agent in a process of its own, which a signal ends."""
    with agent("--store", str(path)) as process:
        with httpx2.Client(base_url=address(process), timeout=30) as client:
            yield client
        process.send_signal(end)
        process.communicate(timeout=10)


def open_store(path: Path, now: float = NOW, max_bytes: int | None = None) -> SQLiteStore:
    return SQLiteStore(path, decode=read_report, now=lambda: now, max_bytes=max_bytes)


def accept(store: SQLiteStore, *digests: bytes) -> None:
    """Add a payload for each digest."""
    store.add_all([AcceptedPayload(read_report(BODY, ""), "", BODY, digest) for digest in digests])


def remembered(path: Path, now: float = NOW) -> list[bytes]:
    """Return what an agent remembers that is started at a time."""
    with closing(open_store(path, now)) as store:
        return [digest for digest, _ in store.accepted_bodies()]


@ENDS
def test_body_of_asyncdsm_sent_again_after_a_restart_is_counted_once(path: Path, end: signal.Signals) -> None:
    for repeated in (0, 1, 1):
        with served(path, end) as client:
            assert client.post(INTAKE, content=BODY, headers=OURS).status_code == 202
            health = client.get("/api/health").json()
            assert (health["payloads"], health["repeated"]) == (1, repeated)


def test_body_of_another_process_after_the_first_was_answered_is_counted_after_a_restart(path: Path) -> None:
    for number in (1, 2, 3):
        with served(path, signal.SIGTERM) as client:
            assert client.post(INTAKE, content=BODY, headers=MSGPACK).status_code == 202
            assert client.get("/api/health").json()["payloads"] == number


def test_digest_is_deleted_with_the_next_payload_after_its_body_was_answered(path: Path) -> None:
    with served(path, signal.SIGKILL) as client:
        client.post(INTAKE, content=BODY, headers=MSGPACK)
        client.post(INTAKE, content=payload(bucket(point(Hash=2))), headers=MSGPACK)
    with served(path, signal.SIGKILL) as client:  # the answer to the second body may have been lost
        client.post(INTAKE, content=BODY, headers=MSGPACK)
        client.post(INTAKE, content=payload(bucket(point(Hash=2))), headers=MSGPACK)
        health = client.get("/api/health").json()
        assert (health["payloads"], health["repeated"]) == (3, 1)


def test_digests_of_answered_bodies_are_deleted_by_the_next_flush(path: Path) -> None:
    store = open_store(path)
    accept(store, b"a", b"b", b"c")
    store.forget_body(b"b")
    store.forget_body(b"unknown")
    store.flush()
    store._closing()  # as a kill does
    assert remembered(path) == [b"a", b"c"]


def test_digests_are_remembered_for_ten_minutes(path: Path) -> None:
    with closing(open_store(path)) as store:
        accept(store, b"a", b"b")
    assert remembered(path, NOW + REMEMBERED_SECONDS) == [b"a", b"b"]
    assert remembered(path, NOW - 5) == [b"a", b"b"]  # the clock was set
    assert remembered(path, NOW + REMEMBERED_SECONDS + 1) == []
    with closing(open_store(path, NOW + REMEMBERED_SECONDS + 1)) as store:
        accept(store, b"c")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT digest FROM accepted_bodies").fetchall() == [(b"c",)]


def test_file_has_no_more_digests_than_its_size_allows(path: Path) -> None:
    with closing(open_store(path, max_bytes=100 * POINT_BYTES)) as store:
        for number in range(150):
            accept(store, b"%d" % number)
    assert remembered(path) == [b"%d" % number for number in range(50, 150)]


def test_digests_of_payloads_that_were_not_stored_are_not_remembered(path: Path) -> None:
    store = open_store(path)
    accept(store, b"a")
    store.forget_body(b"a")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE journal RENAME TO hidden")
        with pytest.raises(sqlite3.OperationalError):
            accept(store, b"b", b"a")
        connection.execute("ALTER TABLE hidden RENAME TO journal")
    assert [digest for digest, _ in store.accepted_bodies()] == [b"a"]
    accept(store, b"c")
    store.close()
    assert remembered(path) == [b"c"]


def test_same_body_of_another_process_is_remembered_once_more(path: Path) -> None:
    store = open_store(path)
    accept(store, b"a", b"b")
    accept(store, b"a")
    store.close()
    assert remembered(path) == [b"b", b"a"]


def test_file_of_an_earlier_version_gets_the_table(path: Path) -> None:
    open_store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE accepted_bodies")
    with closing(open_store(path)) as store:
        accept(store, b"a")
    assert remembered(path) == [b"a"]


def test_store_in_memory_keeps_no_digests() -> None:
    with closing(SQLiteStore(now=lambda: NOW)) as store:
        accept(store, b"a")
        assert store.accepted_bodies() == []


def test_ids_ascend_over_restarts(path: Path) -> None:
    with closing(open_store(path)) as store:
        accept(store, b"a", b"b")
    with closing(open_store(path)) as store:
        accept(store, b"c")
    with closing(sqlite3.connect(path)) as connection:
        assert [digest for digest, _ in AcceptedBodies(connection, 10).ages(NOW)] == [b"a", b"b", b"c"]
        assert connection.execute("SELECT id FROM accepted_bodies").fetchall() == [(1,), (2,), (3,)]
