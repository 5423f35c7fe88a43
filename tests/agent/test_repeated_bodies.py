"""A body that is sent again is counted once. The same bytes of another sender, or after an error, are accepted."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import AsyncIterator, Sequence
from threading import Event
from time import monotonic, sleep

import anyio
import httpx2
import pytest

from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.intake.errors import IntakeError
from asyncdsm.agent.intake.repeated_bodies import RecentBodies, hash_body
from asyncdsm.agent.store.limits import MAX_REMEMBERED, REMEMBERED_SECONDS
from asyncdsm.agent.store.reports import AcceptedPayload
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.edge import Edge
from asyncdsm.delivery.payload import pack
from asyncdsm.settings import Settings
from tests.agent.payloads import GZIP, INTAKE, MSGPACK, NOW, Client, bucket, ours, passed, payload, point
from tests.agent.test_forward import accounts, passing_on
from tests.agent.test_serve import address, agent
from tests.differential.process import run

BODY = payload(bucket(point()))


class Slow(SQLiteStore):
    """A store that waits until it may go on, and raises each of `errors` once."""

    def __init__(self) -> None:
        super().__init__(now=lambda: NOW)
        self.may_store = Event()
        self.entered = Event()
        self.errors: list[Exception] = []

    def add_all(self, payloads: Sequence[AcceptedPayload]) -> None:
        self.entered.set()
        assert self.may_store.wait(60)
        if self.errors:
            raise self.errors.pop()
        super().add_all(payloads)


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
async def stalled(slow: Slow) -> AsyncIterator[Client]:
    """Talk to an agent whose store is stalled."""
    async with running_agent(store=slow) as agent, Client(base_url=agent.url, timeout=60) as client:
        yield client
        slow.may_store.set()


async def shown(client: Client) -> tuple[float, int, int]:
    """Return how many messages are counted, payloads stored and bodies repeated."""
    health = (await client.get("/api/health")).json()
    return sum(edge["count"] for edge in (await client.topology())["edges"]), health["payloads"], health["repeated"]


async def give_up(client: Client, times: int, body: bytes = BODY) -> None:
    """Send a body, do not wait for the answer, and close the connection."""
    async with httpx2.AsyncClient(base_url=client.base_url, timeout=0.3) as impatient:
        for _ in range(times):
            with pytest.raises(httpx2.ReadTimeout):
                await impatient.post(INTAKE, content=body, headers=MSGPACK)


async def entered(slow: Slow) -> None:
    while not slow.entered.is_set():
        await anyio.sleep(0.01)


OURS = {**MSGPACK, "User-Agent": "asyncdsm/0.1"}


async def test_body_of_asyncdsm_sent_again_is_accepted_and_counted_once(client: Client) -> None:
    answers = [(await client.post(INTAKE, content=BODY, headers=OURS)).status_code for _ in range(3)]
    assert answers == [202, 202, 202]
    assert await shown(client) == (4, 1, 2)
    assert "asyncdsm_agent_repeated_total 2.0\n" in (await client.get("/api/metrics")).text


async def test_same_body_of_two_senders_that_get_their_answers_is_counted_and_forwarded_twice() -> None:
    async with passing_on() as (client, intake):
        assert [(await client.report(BODY)).status_code for _ in range(2)] == [202, 202]
        await accounts(client, lambda shown: shown["delivered"] == 2 and not shown["pending"])
        assert intake.accepted == [BODY, BODY]
        assert (await shown(client))[1:] == (2, 0)


async def test_same_body_of_senders_at_the_same_time_is_counted_for_each(client: Client) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(client.report, BODY)
    assert await shown(client) == (80, 20, 0)


async def test_same_body_after_the_repetition_was_answered_is_counted(stalled: Client, slow: Slow) -> None:
    await give_up(stalled, 1)
    slow.may_store.set()
    answers = [(await stalled.report(BODY)).status_code for _ in range(2)]
    assert answers == [202, 202]
    assert await shown(stalled) == (8, 2, 1)


async def test_large_body_sent_again_by_a_sender_that_gave_up_is_counted_once(stalled: Client, slow: Slow) -> None:
    large = payload(bucket(*(point(Hash=number) for number in range(2_000))))
    assert len(large) > 4 * 65_536  # uvicorn stops reading where so much waits to be taken
    await give_up(stalled, 2, large)
    slow.may_store.set()
    assert (await stalled.report(large)).status_code == 202
    assert (await shown(stalled))[1:] == (1, 2)


async def test_body_sent_again_by_a_sender_that_gave_up_is_counted_once(stalled: Client, slow: Slow) -> None:
    await give_up(stalled, 3)
    slow.may_store.set()
    assert (await stalled.report(BODY)).status_code == 202
    assert await shown(stalled) == (4, 1, 3)


def test_real_ddtrace_that_gives_up_on_a_stalled_agent_is_counted_once() -> None:
    with agent() as process:
        url = address(process)
        process.send_signal(signal.SIGSTOP)
        settings = {"DD_DATA_STREAMS_ENABLED": "true", "DD_SERVICE": "theirs", "DD_TRACE_AGENT_URL": url}
        run("sender.py", **settings)  # it gives up each time after 1 s; the kernel keeps what it sent
        process.send_signal(signal.SIGCONT)
        with httpx2.Client(base_url=url, timeout=30) as client:
            until = monotonic() + 60
            while not (health := client.get("/api/health").json())["repeated"] and monotonic() < until:
                sleep(0.1)
            edges = client.get("/api/topology").json()["edges"]
    assert health["repeated"] >= 1
    assert health["payloads"] == 1
    assert [(edge["direction"], edge["count"]) for edge in edges] == [("in", 1), ("out", 1)]


async def test_body_sent_again_during_ingestion_waits_for_the_outcome(stalled: Client, slow: Slow) -> None:
    answers = list[int]()

    async def send() -> None:
        answers.append((await stalled.post(INTAKE, content=BODY, headers=OURS)).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(send)
        await entered(slow)
        assert answers == []
        slow.may_store.set()
    assert answers == [202] * 3
    assert await shown(stalled) == (4, 1, 2)


async def test_body_that_could_not_be_stored_is_refused_until_it_can_be_stored(stalled: Client, slow: Slow) -> None:
    answers = list[int]()
    slow.errors = [sqlite3.OperationalError("disk I/O error")]

    async def send() -> None:
        answers.append((await stalled.report(BODY)).status_code)

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        await entered(slow)
        group.start_soon(send)
        await anyio.sleep(0.1)  # it arrives while the first one is being stored
        slow.may_store.set()
    assert answers == [503, 503]
    assert (await stalled.report(BODY)).status_code == 202
    assert await shown(stalled) == (4, 1, 0)


async def test_refused_body_sent_again_is_refused_again(client: Client) -> None:
    assert [(await client.report(b"\xc1")).status_code for _ in range(2)] == [400, 400]
    assert (await shown(client))[2] == 0


@pytest.mark.parametrize("wrong", [{}, {**MSGPACK, "Content-Encoding": "br"}, GZIP], ids=["type", "encoding", "gzip"])
async def test_body_refused_for_its_headers_is_accepted_with_right_ones(client: Client, wrong: dict[str, str]) -> None:
    assert (await client.post(INTAKE, content=BODY, headers=wrong)).status_code in {400, 415}
    assert (await client.report(BODY)).status_code == 202
    assert await shown(client) == (4, 1, 0)


@pytest.mark.parametrize("name", ["Datadog-Container-ID", "Datadog-Entity-ID"])
async def test_same_body_of_two_containers_is_counted_twice(client: Client, name: str) -> None:
    for container in ("in-1", "in-2", "in-2"):
        await client.post(INTAKE, content=BODY, headers={**OURS, name: container})
    assert await shown(client) == (8, 2, 1)


def test_two_processes_of_asyncdsm_send_different_bodies_for_the_same_counts() -> None:
    def record(aggregator: Aggregator) -> None:
        passed(aggregator, Edge("direction:out", "topic:t", "type:kafka"), [0.0])

    bodies = ours(record) + ours(record)
    assert len({hash_body(body, ()) for body in bodies}) == 2


def test_each_payload_of_asyncdsm_has_its_own_id() -> None:
    aggregator = Aggregator("s", None, now=lambda: 0)
    passed(aggregator, Edge("direction:out", "topic:t", "type:kafka"), [0.0])
    (counted,) = aggregator.take()
    assert pack(counted, aggregator.bucket_ns, Settings()) != pack(counted, aggregator.bucket_ns, Settings())


async def nothing() -> None:
    """Accept a body at once."""


async def gone() -> bool:
    """Say that the sender has disconnected."""
    return False


async def there() -> bool:
    """Say that the sender still waits."""
    return True


async def test_body_is_forgotten_when_its_sender_has_the_answer() -> None:
    recent = RecentBodies()
    assert [await recent.ingest_once(b"a", nothing, answer) for answer in (gone, gone, there, there, gone, there)] == [
        False,
        True,
        True,
        False,
        False,
        True,
    ]


async def test_bodies_are_forgotten_after_ten_minutes() -> None:
    now = 0.0
    recent = RecentBodies(now=lambda: now)
    assert not await recent.ingest_once(b"a", nothing, gone)
    now = REMEMBERED_SECONDS
    assert await recent.ingest_once(b"a", nothing, gone)
    now += 1
    assert not await recent.ingest_once(b"a", nothing, gone)


async def test_oldest_bodies_are_forgotten_beyond_the_limit() -> None:
    recent = RecentBodies()
    for number in range(MAX_REMEMBERED + 1):
        await recent.ingest_once(b"%d" % number, nothing, gone)
    assert await recent.ingest_once(b"%d" % MAX_REMEMBERED, nothing, gone)
    assert not await recent.ingest_once(b"0", nothing, gone)


async def test_body_of_a_cancelled_request_is_ingested_when_it_comes_again() -> None:
    recent = RecentBodies()
    with anyio.move_on_after(0.01):
        await recent.ingest_once(b"a", lambda: anyio.sleep(60), gone)
    assert not await recent.ingest_once(b"a", nothing, gone)


async def test_repeated_body_gets_the_same_refusal() -> None:
    recent = RecentBodies()

    async def refuse() -> None:
        raise IntakeError("$.Service", "is missing")

    for _ in range(2):
        with pytest.raises(IntakeError, match="is missing"):
            await recent.ingest_once(b"a", refuse, gone)


async def test_body_sent_again_is_forwarded_once() -> None:
    async with passing_on() as (client, intake):
        for hash_ in (1, 1, 2, 1):
            body = payload(bucket(point(Hash=hash_)))
            assert (await client.post(INTAKE, content=body, headers=OURS)).status_code == 202
        await accounts(client, lambda shown: shown["delivered"] == 2 and not shown["pending"])
        assert len(intake.accepted) == 2
        assert (await client.get("/api/health")).json()["repeated"] == 2
