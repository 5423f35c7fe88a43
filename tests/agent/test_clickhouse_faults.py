"""A ClickHouse that hangs, resets, or answers with something else: health answers at once, and nothing counts twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from itertools import count
from time import monotonic, sleep

import anyio
import pyarrow as pa
import pytest
from anyio import to_thread

from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.clickhouse import connection as connection_module
from asyncdsm.agent.store.clickhouse import hang_guard
from asyncdsm.agent.store.clickhouse import store as store_module
from asyncdsm.agent.store.clickhouse.address import parse_address
from asyncdsm.agent.store.clickhouse.connection import HTTPConnection
from asyncdsm.agent.store.clickhouse.hang_guard import PING_SECONDS, WATCH_SECONDS, HangGuard
from asyncdsm.agent.store.clickhouse.store import ClickHouseStore
from asyncdsm.agent.store.clickhouse.writer import COUNTS_SECONDS
from asyncdsm.agent.store.reports import AcceptedPayload
from asyncdsm.errors import StoreError, StoreUnavailableError
from tests.agent.payloads import NOW, Client, bucket, payload, point
from tests.agent.test_store import kept
from tests.brokers.clickhouse import ClickHouse
from tests.brokers.faulty_clickhouse import FAULTS, Fault, FaultyProxy, faulty_proxy

AT_ONCE = 1.0
"""What counts as at once, also on a machine that does other things."""


@pytest.fixture
def proxy(clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    monkeypatch.setattr(hang_guard, "SPARED_SECONDS", 0.3)
    with faulty_proxy(clickhouse.port) as proxy:
        yield proxy


@pytest.fixture
async def store(clickhouse: ClickHouse, proxy: FaultyProxy) -> AsyncIterator[ClickHouseStore]:
    database = clickhouse.address().rpartition("/")[2]
    address = parse_address(proxy.address(database), {})
    store = await to_thread.run_sync(lambda: ClickHouseStore(address, now=lambda: NOW))
    yield store
    store.close()


@pytest.fixture
async def client(store: ClickHouseStore) -> AsyncIterator[Client]:
    async with running_agent(store=store) as agent, Client(base_url=agent.url, timeout=20) as client:
        yield client


async def health(client: Client) -> dict[str, str]:
    """Return what is wrong, by name, of an answer that came at once."""
    began = monotonic()
    shown = (await client.get("/api/health")).json()
    assert monotonic() - began < AT_ONCE
    assert shown["payloads"] == 1
    return {each["name"]: each["problem"] for each in shown.get("problems", ())}


async def expect_map(client: Client, status: int) -> None:
    answer = await client.get("/api/topology")
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("fault", FAULTS)
async def test_health_answers_at_once_and_what_is_sent_again_counts_once(
    client: Client, store: ClickHouseStore, proxy: FaultyProxy, fault: Fault
) -> None:
    assert (await client.report(payload(bucket(point(Hash=1))))).status_code == 202
    proxy.fault = fault
    async with anyio.create_task_group() as group:
        group.start_soon(expect_map, client, 503)
        await anyio.sleep(0.2)
        await health(client)
    second = payload(bucket(point(Hash=2)))
    if fault not in {"truncated", "short"}:  # what is written answers with nothing, of which nothing is missing
        assert (await client.report(second)).status_code == 503
        assert "store" in await health(client)
    with anyio.fail_after(20):
        while "upkeep" not in (found := await health(client)):
            await anyio.sleep(0.05)
    assert "clickhouse://127.0.0.1" in found["upkeep"]
    proxy.fault = ""
    with anyio.fail_after(20):
        while (await client.report(second)).status_code != 202:
            await anyio.sleep(0.1)
    await to_thread.run_sync(store.flush)
    assert await to_thread.run_sync(kept, store) == {1: 4, 2: 4}
    assert store.conditions.present() == []
    await expect_map(client, 200)


async def test_while_it_hangs_metrics_and_queries_answer_soon_and_afterwards_all_goes_on(
    client: Client, proxy: FaultyProxy
) -> None:
    """Statements that are under way when it begins to hang are not waited for either."""

    async def ask(path: str, status: int) -> str:
        began = monotonic()
        answer = await client.get(path)
        assert answer.status_code == status, answer.text
        assert monotonic() - began < WATCH_SECONDS + PING_SECONDS + AT_ONCE
        return answer.text

    assert (await client.report(payload(bucket(point(Hash=1))))).status_code == 202
    proxy.fault = "hangs"
    for _ in range(2):  # the first ones learn it, the next ones know it
        async with anyio.create_task_group() as group:
            group.start_soon(ask, "/api/health", 200)
            group.start_soon(ask, "/api/metrics", 200)
        found = await ask("/api/topology?minutes=5", 503)
        assert '"path":"store","problem":"clickhouse://127.0.0.1' in found
        assert "it does not answer in time" in found
        assert "asyncdsm_agent_payloads_total 1.0" in await ask("/api/metrics", 200)
    proxy.fault = ""
    with anyio.fail_after(20):
        while (await client.get("/api/topology")).status_code != 200:
            await anyio.sleep(0.1)
    assert (await client.report(payload(bucket(point(Hash=2))))).status_code == 202
    await ask("/api/topology?minutes=5", 200)


def test_statement_may_take_long_while_pings_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hang_guard, "WATCH_SECONDS", 0.02)
    pinged = list[float]()

    def ping() -> bool:
        pinged.append(monotonic())
        return len(pinged) < 4

    def work(seconds: float) -> str:
        sleep(seconds)
        return "done"

    guard = HangGuard(ping)
    assert guard.run_statement(lambda: work(0.05)) == "done"
    assert pinged
    with pytest.raises(TimeoutError):
        guard.run_statement(lambda: work(2.0))
    with pytest.raises(ZeroDivisionError):
        guard.run_statement(lambda: 1 // 0)


@pytest.mark.parametrize("fault", ["resets", "500", "page", "hangs"])
def test_statement_that_was_not_run_is_an_error(proxy: FaultyProxy, fault: Fault) -> None:
    connection = HTTPConnection(parse_address(proxy.address("default"), {}))
    try:
        proxy.fault = fault
        with pytest.raises(StoreUnavailableError, match=r"clickhouse://127\.0\.0\.1"):
            connection.command("CREATE DATABASE never")
        with pytest.raises(StoreUnavailableError):
            connection.insert("never", pa.table({"a": [1]}))
    finally:
        connection.close()


def test_clickhouse_that_hangs_when_the_agent_starts_is_an_error_that_says_so(
    proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "ANSWER_SECONDS", 1.0)
    proxy.fault = "hangs"
    with pytest.raises(StoreError, match="it does not answer in time"):
        ClickHouseStore(parse_address(proxy.address("dsm"), {}))


def test_while_it_hangs_one_statement_is_tried_and_the_others_fail_at_once() -> None:
    now = [100.0]
    guard = HangGuard(lambda: True, lambda: now[0])
    guard.check()
    guard.note_hang("it hangs")
    with pytest.raises(StoreUnavailableError, match="it hangs"):
        guard.check()
    now[0] += hang_guard.SPARED_SECONDS
    guard.check()  # this one is tried
    with pytest.raises(StoreUnavailableError, match="it hangs"):
        guard.check()
    guard.note_answer()
    guard.check()


class LostAnswer(HTTPConnection):
    """Loses the answer to an insertion into a table that a test names, once: ClickHouse has written the rows."""

    lost_table: str = ""

    def insert(self, table: str, rows: pa.Table) -> None:
        super().insert(table, rows)
        if table == self.lost_table:
            self.lost_table = ""
            raise StoreUnavailableError("the answer was lost")


def numbers(stores: list[ClickHouseStore]) -> list[tuple[int, int]]:
    """Return how many payloads, and how many rows that were ignored, each agent knows of."""
    for store in stores:
        store.maintain()
    return [(store.payloads, store.counters()["ignored_rows"]) for store in stores]


@pytest.fixture
def agents(clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ClickHouseStore]]:
    """Two agents, the first of which may lose answers."""
    address, ticks = parse_address(clickhouse.address(), {}), count()
    stores = list[ClickHouseStore]()
    for kind in (LostAnswer, HTTPConnection):
        monkeypatch.setattr(store_module, "HTTPConnection", kind)
        stores.append(ClickHouseStore(address, now=lambda: NOW, ticks=lambda: float(next(ticks))))
    yield stores
    for store in stores:
        store.close()


def with_an_old_row(number: int) -> AcceptedPayload:
    """Return a payload of which a row is ignored."""
    body = payload(bucket(point(Hash=number)), bucket(point(Hash=number), Start=1))
    return AcceptedPayload(read_report(body, ""), "", body)


@pytest.mark.parametrize("table", ["periods", "points", "sketches", "services", "payloads"])
def test_payload_whose_answer_was_lost_counts_once_in_the_health_of_all_agents(
    agents: list[ClickHouseStore], table: str
) -> None:
    first, connection = agents[0], agents[0]._connection
    assert isinstance(connection, LostAnswer)
    first.add_all([with_an_old_row(1)])
    connection.lost_table = table
    with pytest.raises(StoreUnavailableError, match="lost"):
        first.add_all([with_an_old_row(2), with_an_old_row(3)])
    first.add_all([with_an_old_row(3), with_an_old_row(4)])  # services send again, in other company
    first.add_all([with_an_old_row(2)])
    assert numbers(agents) == [(4, 4)] * 2
    assert kept(agents[1]) == {1: 4, 2: 4, 3: 4, 4: 4}


def test_count_whose_answer_was_lost_is_mended_without_another_payload(agents: list[ClickHouseStore]) -> None:
    first, connection = agents[0], agents[0]._connection
    assert isinstance(connection, LostAnswer)
    connection.lost_table = "payloads"
    with pytest.raises(StoreUnavailableError, match="lost"):
        first.add_all([with_an_old_row(1)])
    agents[1].add_all([with_an_old_row(1)])  # the service has gone to the other agent
    first.flush()
    assert numbers(agents) == [(1, 1)] * 2


def test_counts_of_an_idle_agent_are_written_again_before_they_are_forgotten(clickhouse: ClickHouse) -> None:
    clock = [NOW]
    address = parse_address(clickhouse.address(), {})
    store = ClickHouseStore(address, now=lambda: clock[0], ticks=lambda: clock[0])
    with closing(store):
        store.add_all([with_an_old_row(1)])
        clock[0] += COUNTS_SECONDS
        store.flush()
        query = f"SELECT toUnixTimestamp(received) AS at FROM {store._db}.payloads FINAL"  # noqa: S608
        assert store._connection.query(query).to_pylist() == [{"at": int(clock[0])}]
