"""The file of the store: what it has after reopening, and what happens if it cannot be written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from anyio import to_thread

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.reports import AcceptedPayload
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.errors import StoreError, StoreFullError
from tests.agent.payloads import NOW, Client, bucket, payload, point
from tests.agent.test_store import EVER, kept

OFFSETS = [{"Tags": ["type:kafka_produce", "topic:orders", "partition:0"], "Value": 41}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@contextmanager
def opened(path: Path) -> Iterator[SQLiteStore]:
    with closing(SQLiteStore(path, decode=read_report, now=lambda: NOW)) as store:
        yield store


def accept(*hashes: int, service: str = "foreign") -> AcceptedPayload:
    body = payload(bucket(*(point(Hash=hash_) for hash_ in hashes), Backlogs=OFFSETS), Service=service)
    return AcceptedPayload(read_report(body, ""), "", body)


def everything(store: SQLiteStore) -> tuple[object, ...]:
    return kept(store), store.backlogs(), store.offsets(EVER), store.services(), store.counters()


@pytest.mark.parametrize("flushed", [True, False])
def test_accepted_payloads_are_there_after_reopening(path: Path, flushed: bool) -> None:
    with opened(path) as store:
        store.add_all([accept(1, 2**64 - 1), accept(1, service="other")])
        if flushed:
            store.flush()
        store.add_all([accept(3)])
        before = everything(store)
    for _ in range(2):
        with opened(path) as store:
            assert everything(store) == before


def test_unflushed_payloads_are_read_from_the_journal_after_a_kill(path: Path) -> None:
    store = SQLiteStore(path, decode=read_report, now=lambda: NOW)
    store.add_all([accept(1, 2)])
    store.flush()
    store.add_all([accept(2, 3), accept(3)])
    before = everything(store)
    store._closing()  # as a kill does: nothing is written any more
    with opened(path) as store:
        assert everything(store) == before
        assert kept(store) == {1: 4, 2: 8, 3: 8}


def test_numbers_of_deleted_points_are_not_used_again(path: Path) -> None:
    for hash_ in range(5):
        with opened(path) as store:
            store.add_all([accept(hash_, hash_ + 1)])
    with opened(path) as store:
        assert kept(store) == {0: 4, 1: 8, 2: 8, 3: 8, 4: 8, 5: 4}


def test_second_store_on_the_same_file_is_refused(path: Path) -> None:
    with opened(path), pytest.raises(StoreError, match="another agent has it open"):
        SQLiteStore(path, decode=read_report)
    with opened(path):
        pass


def test_file_that_is_no_store_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    with pytest.raises(StoreError, match="database of another program"):
        SQLiteStore(path, decode=read_report)
    path.write_bytes(b"no database, but some text that is long enough" * 100)
    with pytest.raises(StoreError, match="not a database"):
        SQLiteStore(path, decode=read_report)
    with pytest.raises(StoreError, match="No such file or directory"):
        SQLiteStore(path.parent / "nowhere" / "store.db", decode=read_report)


def test_file_of_another_version_is_refused(path: Path) -> None:
    with opened(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="format 99"):
        SQLiteStore(path, decode=read_report)


def test_file_of_format_1_is_opened_and_becomes_one_of_format_2(path: Path) -> None:
    with opened(path) as store:
        store.add_all([accept(1)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1")
    with opened(path) as store:
        assert store.counters()["payloads"] == 1
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)


def fill(store: SQLiteStore) -> None:
    """Leave no room in the file. SQLite raises the same error for a full disk."""
    connection = store._file._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")


def make_room(store: SQLiteStore) -> None:
    store._file._connection.execute("PRAGMA max_page_count = 1000000")


def take_until_full(store: SQLiteStore) -> None:
    for hash_ in range(2, 1000):
        store.add_all([accept(hash_)])


def test_full_store_refuses_payloads_until_there_is_room(path: Path) -> None:
    with opened(path) as store:
        store.add_all([accept(1)])
        fill(store)
        with pytest.raises(StoreFullError, match="full"):
            take_until_full(store)
        counted = kept(store)
        make_room(store)
        store.add_all([accept(1000)])
    with opened(path) as store:
        assert kept(store) == {**counted, 1000: 4}


def test_full_store_keeps_unflushed_payloads(path: Path) -> None:
    with opened(path) as store:
        store.add_all([accept(*range(300))])
        fill(store)
        with pytest.raises(sqlite3.Error, match="full"):
            store.flush()
        assert kept(store) == dict.fromkeys(range(300), 4)
        make_room(store)
        store.flush()
        assert kept(store) == dict.fromkeys(range(300), 4)


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    """Give the agent of `client` a store with a file."""
    with opened(path) as store:
        yield store


async def test_full_disk_is_answered_with_507(client: Client, store: SQLiteStore) -> None:
    points = bucket(*(point(Hash=hash_) for hash_ in range(200)))
    bodies = iter([payload(points, Hostname=str(number)) for number in range(7)])  # none is sent again
    assert (await client.report(next(bodies))).status_code == 202
    await to_thread.run_sync(fill, store)
    statuses = [(await client.report(next(bodies))).status_code for _ in range(5)]
    assert statuses[-1] == 507
    assert set(statuses) <= {202, 507}
    assert (await client.topology())["edges"][0]["count"] == 200 * 4 * (1 + statuses.count(202))
    await to_thread.run_sync(make_room, store)
    assert (await client.report(next(bodies))).status_code == 202
    metrics = (await client.get("/api/metrics")).text
    assert f'intake_answers_total{{status="507"}} {statuses.count(507)}' in metrics


def spoil(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE journal")


async def test_unwritable_file_is_answered_with_503(client: Client, path: Path) -> None:
    await to_thread.run_sync(spoil, path)
    answer = await client.report(payload(bucket(point())))
    assert (answer.status_code, answer.json()["error"]["path"]) == (503, "store")
    assert "no such table" in answer.json()["error"]["problem"]
    assert (await client.get("/api/health")).json()["payloads"] == 0
