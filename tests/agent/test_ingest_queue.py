"""Payloads are stored in groups, and each sender gets the answer to its own payload."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest

from asyncdsm.agent.intake.errors import IntakeError
from asyncdsm.agent.intake.ingest_queue import LARGE_BYTES, LARGE_UNPACKED_BYTES, IngestQueue
from asyncdsm.agent.store.reports import AcceptedPayload
from asyncdsm.agent.store.sqlite.store import GROUP_SIZE, SQLiteStore
from asyncdsm.errors import StoreFullError
from tests.agent.payloads import NOW, bucket, payload, point


class Watched(SQLiteStore):
    """A store that records the sizes of groups, and raises each of `errors` once."""

    def __init__(self) -> None:
        super().__init__(now=lambda: NOW)
        self.groups: list[int] = []
        self.errors: list[Exception] = []
        self.hashes: list[int] = []

    def add_all(self, payloads: Sequence[AcceptedPayload]) -> None:
        self.groups.append(len(payloads))
        self.hashes += [one.report.buckets[0].points[0].hash for one in payloads]
        if self.errors:
            raise self.errors.pop()
        super().add_all(payloads)


@pytest.fixture
def store() -> Watched:
    return Watched()


@pytest.fixture
def queue(store: Watched) -> IngestQueue:
    return IngestQueue(store)


def body(number: int) -> bytes:
    return payload(bucket(point(Hash=number)))


async def results(queue: IngestQueue, bodies: list[bytes], encoding: str = "") -> list[int]:
    """Send all bodies at once, and return the status of each answer."""
    statuses = [0] * len(bodies)

    async def send(place: int) -> None:
        try:
            await queue.ingest_payload(bodies[place], encoding)
            statuses[place] = 202
        except IntakeError as error:
            statuses[place] = error.status

    async with anyio.create_task_group() as group:
        for place in range(len(bodies)):
            group.start_soon(send, place)
    return statuses


async def test_waiting_payloads_are_stored_in_one_group(queue: IngestQueue, store: Watched) -> None:
    assert await results(queue, [body(number) for number in range(200)]) == [202] * 200
    assert sum(store.groups) == store.payloads == 200
    assert max(store.groups) == GROUP_SIZE
    assert len(store.groups) < 10


async def test_wrong_payload_in_a_group_fails_alone(queue: IngestQueue, store: Watched) -> None:
    bodies = [b"\xc1" if number % 7 == 3 else body(number) for number in range(50)]
    assert await results(queue, bodies) == [400 if number % 7 == 3 else 202 for number in range(50)]
    assert store.payloads == 43


async def test_small_body_does_not_wait_for_all_large_bodies(queue: IngestQueue, store: Watched) -> None:
    large = [payload(bucket(point(Hash=number)), Hostname="h" * (LARGE_BYTES + 1)) for number in range(1, 7)]
    assert await results(queue, [*large, body(99)]) == [202] * 7
    assert store.hashes.index(99) <= 2
    assert sorted(store.hashes) == [1, 2, 3, 4, 5, 6, 99]


async def test_small_body_does_not_wait_for_bodies_that_are_large_unpacked(queue: IngestQueue, store: Watched) -> None:
    padding = "h" * (LARGE_UNPACKED_BYTES + 1)
    large = [gzip.compress(payload(bucket(point(Hash=number)), Hostname=padding)) for number in range(1, 7)]
    large = [first + gzip.compress(b"") for first in large]  # the last member says that it has 0 bytes
    assert max(map(len, large)) < LARGE_BYTES
    assert await results(queue, [*large, gzip.compress(body(99))], "gzip") == [202] * 7
    assert store.hashes.index(99) <= 2
    assert sorted(store.hashes) == [1, 2, 3, 4, 5, 6, 99]


@pytest.mark.parametrize(
    ("error", "status"),
    [(StoreFullError("no room"), 507), (sqlite3.OperationalError("disk I/O error"), 503), (KeyError("ours"), 500)],
    ids=str,
)
async def test_payload_that_cannot_be_stored_is_not_acknowledged(
    queue: IngestQueue, store: Watched, error: Exception, status: int
) -> None:
    store.errors = [error]
    statuses = await results(queue, [body(number) for number in range(2 * GROUP_SIZE)])
    assert set(statuses) == {202, status}
    assert store.payloads == statuses.count(202)
    assert await results(queue, [body(1)]) == [202]


async def test_sender_that_disconnects_does_not_affect_its_group(queue: IngestQueue, store: Watched) -> None:
    """The sender whose turn stores the group may be cancelled: the others still get their own answers."""
    for _ in range(20):
        before = store.payloads
        statuses = list[int]()

        async def stay(number: int, answers: list[int] = statuses) -> None:
            await queue.ingest_payload(body(number), "")
            answers.append(number)

        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as leaving:
                    leaving.start_soon(queue.ingest_payload, body(1), "")
                    await anyio.lowlevel.checkpoint()
                    for number in range(5):
                        group.start_soon(stay, number)
                    await anyio.lowlevel.checkpoint()
                    scope.cancel()
        assert sorted(statuses) == list(range(5))
        assert store.payloads - before in {5, 6}
