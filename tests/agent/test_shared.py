"""Readers who ask the same share one answer, and nobody is given an old one for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from threading import Lock
from time import thread_time
from typing import Any

import anyio
import pytest

from asyncdsm.agent.http import query_endpoints, shared_answers
from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.http.shared_answers import SharedAnswers
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.topology import topology_of
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.map.topology import Topology
from tests.agent.payloads import NOW, Client, bucket, payload, point


class Clock:
    """Seconds since the epoch, as the test wants."""

    def __init__(self) -> None:
        self.now: float = NOW


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def store(clock: Clock) -> SQLiteStore:
    """Return a store that knows one hop."""
    store = SQLiteStore(now=lambda: clock.now)
    report(store, "shop")
    return store


@pytest.fixture
async def client(store: SQLiteStore) -> AsyncIterator[Client]:
    """Talk HTTP with an agent."""
    async with running_agent(store=store) as agent, Client(base_url=agent.url, timeout=60) as client:
        yield client


def report(store: SQLiteStore, service: str) -> None:
    store.add(read_report(payload(bucket(point()), Service=service), ""))


@contextmanager
def computed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Yield how many maps were computed at the same time, each time that one was."""
    running, seen, lock = [0], list[int](), Lock()

    def counted(*arguments: Any, **options: Any) -> Topology:
        with lock:
            running[0] += 1
            seen.append(running[0])
        try:
            return topology_of(*arguments, **options)
        finally:
            with lock:
                running[0] -= 1

    with monkeypatch.context() as patched:
        patched.setattr(query_endpoints, "topology_of", counted)
        yield seen


async def test_twenty_viewers_share_one_answer(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with computed(monkeypatch) as seen:
        async with anyio.create_task_group() as viewers:
            for _ in range(20):
                viewers.start_soon(client.get, "/api/map")
        assert seen == [1]
        await client.get("/api/map", params={"minutes": 10})
        assert seen == [1]


async def test_one_answer_is_computed_at_a_time(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with computed(monkeypatch) as seen:
        async with anyio.create_task_group() as viewers:
            for minutes in range(1, 11):
                viewers.start_soon(client.topology, minutes)
        assert seen == [1] * 10


async def test_new_payload_shows_at_once(client: Client) -> None:
    for number in range(5):
        await client.report(payload(bucket(point()), Service=f"s{number}"))
        shown = await client.topology()
        assert len(shown["services"]) == 2 + number


async def test_answer_is_recomputed_as_time_passes(client: Client, clock: Clock) -> None:
    assert (await client.topology())["edges"][0]["present"]["state"] == "steady"
    clock.now += 120
    assert (await client.topology())["edges"][0]["present"]["state"] == "idle"


async def test_costly_answer_is_reused_for_a_while_despite_new_payloads(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_answers, "PAUSES", 1_000)
    made = list[int]()

    def compute() -> bytes:
        until = thread_time() + shared_answers.COSTLY_SECONDS
        while thread_time() < until:
            pass
        made.append(1)
        return str(len(made)).encode()

    answers = SharedAnswers(store)
    assert (await answers.get("asked", compute)).plain == b"1"
    report(store, "other")
    assert (await answers.get("asked", compute)).plain == b"1"
    monkeypatch.setattr(shared_answers, "PAUSES", 0)
    assert (await answers.get("asked", compute)).plain == b"2"


async def test_error_is_raised_and_not_kept(store: SQLiteStore) -> None:
    answers = SharedAnswers(store)

    def fail() -> bytes:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await answers.get("asked", fail)
    assert (await answers.get("asked", lambda: b"right")).plain == b"right"


async def test_answers_are_bounded_in_number_and_bytes(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = SharedAnswers(store)
    for number in range(200):
        await answers.get(number, lambda: b"x")
    assert (len(answers._answers), answers._bytes) == (shared_answers.MOST_ANSWERS, shared_answers.MOST_ANSWERS)
    monkeypatch.setattr(shared_answers, "MOST_BYTES", 10)
    assert (await answers.get("large", lambda: b"x" * 11)).plain == b"x" * 11
    assert (len(answers._answers), answers._bytes) == (0, 0)


async def test_answers_of_different_questions_differ(client: Client) -> None:
    flows = [(await client.get("/api/map", params={"flow": flow})).content for flow in ("right", "down", "right")]
    assert flows[0] == flows[2] != flows[1]
    assert json.loads(flows[1])["flow"] == "down"


async def test_long_answer_is_compressed_once_for_those_who_take_that(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_answers, "SHORTEST_COMPRESSED", 100)
    plain = await client.get("/api/map", headers={"Accept-Encoding": "br, gzip;q=0"})
    packed = await client.get("/api/map", headers={"Accept-Encoding": "br;q=1, gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])
    assert packed.content == plain.content
    assert packed.headers["vary"] == "Accept-Encoding"


async def test_client_that_has_an_answer_gets_no_body_until_it_changes(client: Client, store: SQLiteStore) -> None:
    first = await client.get("/api/map")
    tag = first.headers["etag"]
    again = await client.get("/api/map", headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    report(store, "other")
    changed = await client.get("/api/map", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
