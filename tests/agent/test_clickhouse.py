"""Several agents with one ClickHouse: what each shows, what counts once, and what is there after kills."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from anyio import to_thread

from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.history_reader import HistoryReader
from asyncdsm.agent.queries.topology import topology, topology_of
from asyncdsm.agent.store import base
from asyncdsm.agent.store.clickhouse import edge_facts
from asyncdsm.agent.store.clickhouse import store as clickhouse_store
from asyncdsm.agent.store.clickhouse.address import Address, is_address, parse_address
from asyncdsm.agent.store.clickhouse.connection import HTTPConnection as Connection
from asyncdsm.agent.store.clickhouse.schema import create_statements
from asyncdsm.agent.store.clickhouse.store import ClickHouseStore
from asyncdsm.agent.store.offset_search import Passing
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.reports import AcceptedPayload, FactSums
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.histogram import bin_index
from asyncdsm.delivery.sketch import encode
from asyncdsm.errors import OptionError, StoreUnavailableError
from asyncdsm.map.topology import Topology
from tests.agent.payloads import NOW, SECOND_NS, Client, bucket, payload, point
from tests.agent.stores import Opener
from tests.agent.test_store import kept
from tests.brokers.clickhouse import ClickHouse
from tests.docs.page import read_blocks

HOUR, DAY = 3600, 86_400
TAGS = ["partition:0", "topic:orders", "type:kafka_produce"]
ROOT = Path(__file__).parents[2]
MANUAL = ROOT / "docs/deploy/clickhouse.md"
only = pytest.mark.parametrize("open_store", ["clickhouse"], indirect=True)


def accepted(*hashes: int, at: float = NOW - 20, **changed: object) -> AcceptedPayload:
    """Return a payload of four messages for each pathway."""
    body = payload(bucket(*(point(Hash=hash_) for hash_ in hashes), Start=int(at) * SECOND_NS), **changed)
    return AcceptedPayload(read_report(body, ""), "", body)


@only
def test_agent_shows_what_another_one_took(open_store: Opener) -> None:
    first, second = open_store(now=lambda: NOW), open_store(now=lambda: NOW)
    backlogs = [{"Tags": TAGS, "Value": 17}]
    body = payload(bucket(point(Hash=1), Backlogs=backlogs), Service="shop", Version="1.2")
    first.add_all([AcceptedPayload(read_report(body, ""), "", body)])
    second.add_all([accepted(2, Service="billing")])
    for store in (first, second):
        store.maintain()
        assert kept(store) == {1: 4, 2: 4}
        assert set(store.services()) == {("shop", ""), ("billing", "")}
        assert [run.version for run in store.versions()["shop", ""]] == ["1.2"]
        assert store.backlogs() == {tuple(TAGS): 17}
        assert (store.payloads, store.counters()["payloads"]) == (2, 2)
    assert topology(first, 10) == topology(second, 10)


@only
def test_rows_that_another_agent_has_just_written_are_shown_with_their_service(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clickhouse_store, "REFRESH_SECONDS", 60.0)  # none is due, or another thread does it
    first, second = open_store(now=lambda: NOW), open_store(now=lambda: NOW)
    second.add_all([accepted(2, Service="billing")])
    assert [(service.name, service.last_seen) for service in topology(first, 10).services] == [("billing", NOW)]


@only
def test_payload_that_is_sent_again_to_another_agent_counts_once(open_store: Opener) -> None:
    for _ in range(3):
        open_store(now=lambda: NOW).add_all([accepted(1, 2)])
    assert kept(open_store(now=lambda: NOW)) == {1: 4, 2: 4}


@only
def test_facts_count_once_and_schemas_of_all_agents_are_known_to_each(open_store: Opener) -> None:
    clock = [NOW]
    agents = [open_store(now=lambda: clock[0], ticks=lambda: clock[0]) for _ in range(2)]
    for number, agent in enumerate(agents):
        said = {"EdgeTags": TAGS, "Redelivered": 1, "Waits": 2, "WaitNs": 9, "LongestWaitNs": 5 + number}
        said["Schemas"] = [{"Id": number, "Subject": "orders"}]
        body = payload(bucket(point(), Start=int(NOW + 90 * number) * SECOND_NS, AsyncdsmFacts=[said]))
        clock[0] = NOW + 100 * (number + 1)
        for each in (agent, agents[0]):
            each.add_all([AcceptedPayload(read_report(body, ""), "", body)])
    edge = EdgeKey("foreign", "", tuple(TAGS))
    for agent in (*agents, open_store(now=lambda: clock[0])):
        assert agent.edge_facts(TimeRange(NOW - 60, NOW + 200)) == {edge: FactSums(3, 0, 6, 27, 6)}
        runs = agent.schemas()[edge]
        assert [(run.version, run.since - NOW) for run in runs] == [("0 orders", 0), ("1 orders", 90)]


@only
def test_edges_beyond_the_bound_are_left_out_of_an_answer_and_named(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(now=lambda: NOW)
    for number in (2, 0, 1):
        said = [{"EdgeTags": [f"topic:{number}"], "Redelivered": 1}]
        store.add(read_report(payload(bucket(Start=int(NOW - 60 * number) * SECOND_NS, AsyncdsmFacts=said)), ""))
    monkeypatch.setattr(edge_facts, "MOST_EDGES", 2)
    assert {edge.tags for edge in store.edge_facts(TimeRange(NOW - 600, NOW + 60))} == {("topic:0",), ("topic:1",)}
    assert [(each["name"], each["count"]) for each in store.conditions.present()] == [("facts", 1)]


@only
def test_service_that_floods_facts_leaves_rows_and_places_in_answers_to_others(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [NOW]
    store = open_store(now=lambda: clock[0])
    assert isinstance(store, ClickHouseStore)

    def say(service: str, *topics: object) -> None:
        said = [{"EdgeTags": [f"topic:{topic}"], "Redelivered": 1} for topic in topics]
        start = int(clock[0] - 20) * SECOND_NS
        store.add(read_report(payload(bucket(Start=start, AsyncdsmFacts=said), Service=service), ""))

    def services() -> Counter[str]:
        return Counter(edge.service for edge in store.edge_facts(TimeRange(NOW - 600, clock[0])))

    monkeypatch.setattr(edge_facts, "MOST_EDGES", 10)
    say("shop", "orders", "mails")
    for first in (0, 30):
        say("flood", *range(first, first + 30))
    say("new", "invoices")
    rows = f"SELECT count() AS n FROM {store._db}.facts"  # noqa: S608
    assert store._connection.query(rows).to_pylist() == [{"n": 11}]
    assert [(each["name"], each["count"]) for each in store.conditions.present()] == [("facts", 52)]
    assert services() == {"shop": 2, "flood": 7, "new": 1}
    clock[0] += HOUR
    say("flood", *range(60, 90))
    say("flood", *range(60, 90))
    assert store._connection.query(rows).to_pylist() == [{"n": 31}]
    assert services() == {"shop": 2, "flood": 7, "new": 1}


@only
def test_agent_that_starts_knows_versions_of_the_services_within_its_bound_only(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "MAX_SERVICES", 2)
    clock = [NOW]
    store = open_store(now=lambda: clock[0])
    for number in range(3):
        clock[0] = NOW + number
        store.add_all([accepted(1, Service=f"s{number}", Version="1.2")])
    for each in (store, open_store(now=lambda: clock[0])):
        assert set(each.versions()) == {("s1", ""), ("s2", "")}


@only
def test_equal_payloads_of_two_processes_that_one_agent_accepts_count_twice(open_store: Opener) -> None:
    store = open_store(now=lambda: NOW)
    store.add_all([accepted(1), accepted(1)])
    store.add_all([accepted(1)])
    assert kept(store) == {1: 12}


@only
def test_payload_of_which_only_a_part_was_written_counts_once_when_it_is_sent_again(open_store: Opener) -> None:
    store = open_store(now=lambda: NOW)
    assert isinstance(store, ClickHouseStore)
    store._connection.command(f"RENAME TABLE {store._db}.payloads TO {store._db}.away")  # it is written last
    with pytest.raises(StoreUnavailableError, match="payloads"):
        store.add_all([accepted(1), accepted(2)])
    assert [condition["name"] for condition in store.conditions.present()] == ["store"]
    store._connection.command(f"RENAME TABLE {store._db}.away TO {store._db}.payloads")
    store.add_all([accepted(2), accepted(3)])
    store.add_all([accepted(1)])
    assert kept(store) == {1: 4, 2: 4, 3: 4}
    assert store.conditions.present() == []


def fill(stores: list[Store], hours: int, chance: random.Random, now: Callable[[float], None]) -> None:
    """Let services report random latencies for some hours to one of the stores each, and to the last one as well."""
    *shared, alone = stores
    for number, start in enumerate(range(int(NOW) - hours * HOUR, int(NOW), 180)):
        now(start + 70.0)
        points = [
            point(Hash=hash_, EdgeLatency=encode({bin_index(chance.uniform(0.001, 9)): chance.randint(1, 5)}))
            for hash_ in chance.sample(range(5), 3)
        ]
        late = start - chance.choice([0, 0, 0, 20, 700, 4000])
        facts = [{"EdgeTags": chance.choice(points)["EdgeTags"], "Redelivered": chance.randint(1, 9), "Waits": 3}]
        one_bucket = bucket(*points, Start=late // 10 * 10 * SECOND_NS, AsyncdsmFacts=facts)
        body = payload(one_bucket, Service=chance.choice(["shop", "billing"]))
        one = [AcceptedPayload(read_report(body, ""), "", body)]
        chance.choice(shared).add_all(one)
        alone.add_all(one)
        if number % 5 == 0:
            for store in stores:
                store.maintain()


@only
def test_every_time_range_has_the_same_map_as_in_a_store_of_sqlite(open_store: Opener) -> None:
    """Two agents roll up; reports come late; and every resolution has each of them once."""
    clock = [NOW]
    agents = [open_store(now=lambda: clock[0], ticks=lambda: clock[0]) for _ in range(2)]
    sqlite, chance = SQLiteStore(now=lambda: clock[0], ticks=lambda: clock[0]), random.Random(7)
    fill([*agents, sqlite], 3, chance, lambda moment: clock.__setitem__(0, moment))
    agent = agents[0]
    assert isinstance(agent, ClickHouseStore)
    flush_for(agent, clock, 400)
    sqlite.flush()
    widths = {each.width for each in agent._rows.periods(0, int(NOW)).plan(0, int(NOW), HOUR)}
    assert widths >= {60, 600, HOUR}
    assert {edge.facts is None for edge in topology_of(agent, TimeRange(0, NOW)).edges} == {False}
    for _ in range(8):
        first, last = sorted(chance.sample(range(int(NOW) - 3 * HOUR, int(NOW)), 2))
        wanted = TimeRange(first // 10 * 10, last // 10 * 10)
        assert rounded(topology_of(agent, wanted)) == rounded(topology_of(sqlite, wanted))
    histories = [HistoryReader(each).read_history(TimeRange(NOW - 2 * HOUR, NOW)) for each in (agents[1], sqlite)]
    counts = [
        {edge: history.counts[number].tolist() for number, edge in enumerate(history.edges)} for history in histories
    ]
    assert counts[0] == counts[1]


def rounded(map_: Topology) -> list[tuple[object, ...]]:
    """Return what a map says of each edge, and which pathways it has."""
    edges = [
        (edge.service, edge.tags, edge.count, edge.facts, edge.edge_latency, edge.pathway_latency)
        for edge in map_.edges
    ]
    return [*edges, *((each.service, each.hash, each.count) for each in map_.pathways)]


def flush_for(store: ClickHouseStore, clock: list[float], seconds: int) -> None:
    """Let some time pass, with the upkeep that belongs to it."""
    for _ in range(0, seconds, 100):
        clock[0] += 100
        store.flush()


@only
def test_sum_of_past_hours_is_read_once_until_one_of_them_changes(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [NOW // HOUR * HOUR]
    store = open_store(now=lambda: clock[0], ticks=lambda: clock[0], max_points=3)
    assert isinstance(store, ClickHouseStore)
    began = clock[0]
    for number in range(1, 4):
        store.add_all([accepted(number, at=clock[0] - 20)])
        clock[0] += HOUR
    flush_for(store, clock, 400)
    read, query = list[str](), store._connection.query

    def note(statement: str, parameters: Any = None) -> pa.Table:
        read.append(statement)
        return query(statement, parameters)

    monkeypatch.setattr(store._connection, "query", note)

    def is_read_again() -> bool:
        read.clear()
        assert kept(store, TimeRange(began - HOUR, began + 2 * HOUR)) == expected
        return any("sketches FINAL" in statement for statement in read)

    expected = {1: 4, 2: 4, 3: 4}
    assert [is_read_again() for _ in range(3)] == [True, False, False]
    store.add_all([accepted(1, at=began + 100)])  # late
    expected = {1: 8, 2: 4, 3: 4}
    assert is_read_again()
    flush_for(store, clock, 800)
    assert [is_read_again() for _ in range(2)] == [True, False]
    store.add_all([accepted(9, at=clock[0] - 20)])
    expected = {1: 8, 3: 4}  # 2 was reported longest ago, and is left out
    assert is_read_again()
    store.add_all([accepted(2, at=clock[0] - 20, Hostname="other")])
    expected = {1: 8, 2: 4}  # it is there again, under another number
    assert is_read_again()


@only
def test_offsets_and_when_they_were_passed_are_those_of_a_store_of_sqlite(open_store: Opener) -> None:
    chance, stores = random.Random(3), (open_store(now=lambda: NOW), SQLiteStore(now=lambda: NOW))
    tags = [(f"partition:{number}", "topic:orders", "type:kafka_produce") for number in range(4)]
    values, buckets = [0, 5_000, -3, 10], list[dict[str, object]]()
    for start in range(int(NOW) - 2 * HOUR, int(NOW), 10):
        values = [
            chance.choice([0, value]) if chance.random() < 0.002 else value + chance.randint(0, 9) for value in values
        ]
        backlogs = [{"Tags": list(each), "Value": value} for each, value in zip(tags, values, strict=True)]
        buckets.append(bucket(Start=start * SECOND_NS, Backlogs=chance.sample(backlogs, 3)))
    for store in stores:
        store.add(read_report(payload(*buckets), ""))
        store.flush()
    one, other = stores
    for first in (NOW - 3 * HOUR, NOW - HOUR - 5):
        wanted = TimeRange(first, NOW - 1000)
        assert sorted(one.offsets(wanted)) == sorted(other.offsets(wanted))
    newest = other.backlogs()
    assert one.backlogs() == newest
    passings = [
        Passing(each, chance.randint(-5, 4_000), newest[each], int(NOW) - 10 * chance.randint(1, 300))
        for each in tags
        for _ in range(60)
    ]
    found = other.find_crossings(passings)
    assert len(found) > 40
    assert one.find_crossings(passings) == found
    assert one.find_crossings(passings[:5]) == other.find_crossings(passings[:5])
    thinned = [store.thinned_offsets(tags[0], int(NOW) - HOUR, int(NOW), 300) for store in stores]
    assert thinned[0] == thinned[1]


@only
def test_rows_of_ten_seconds_are_dropped_after_a_day_and_late_ones_still_count(open_store: Opener) -> None:
    clock = [NOW]
    store = open_store(now=lambda: clock[0])
    assert isinstance(store, ClickHouseStore)
    store.add_all([accepted(1)])
    clock[0] = NOW + 2 * DAY
    store.add_all([accepted(2, at=clock[0] - 20)])
    flush_for(store, clock, 1200)
    query = f"SELECT count() AS n FROM {store._db}.sketches WHERE width = 10"  # noqa: S608
    assert store._connection.query(query).to_pylist() == [{"n": 1}]
    store.add_all([accepted(1, 3)])
    flush_for(store, clock, 600)
    assert kept(store) == {1: 8, 2: 4, 3: 4}
    assert kept(open_store(now=lambda: clock[0])) == {1: 8, 2: 4, 3: 4}


def test_clickhouse_forgets_what_is_older_than_is_kept(clickhouse: ClickHouse) -> None:
    store = ClickHouseStore(parse_address(clickhouse.address(), {}), kept_seconds=365 * DAY, now=lambda: NOW)
    try:
        store.add_all([accepted(1)])  # of 2023, which is more than a year ago on the server's clock
        store._connection.command(f"OPTIMIZE TABLE {store._db}.sketches FINAL")
        store.flush()
        assert store.counters()["rows"] == 0
    finally:
        store.close()


@only
def test_queries_of_the_manual_give_what_was_counted(open_store: Opener) -> None:
    began = time() // 10 * 10 - 60  # data of a newcomer: none of it is rolled up
    store = open_store(now=time)
    assert isinstance(store, ClickHouseStore)
    consumed = point(EdgeTags=["direction:in", "topic:orders", "type:kafka"], EdgeLatency=encode({bin_index(0.25): 4}))
    one = bucket(consumed, Start=int(began) * SECOND_NS, Backlogs=[{"Tags": TAGS, "Value": 17}])
    store.add(read_report(payload(one, Service="billing"), ""))
    store.add(read_report(payload(bucket(point(Hash=8), Start=int(began) * SECOND_NS), Service="shop"), ""))
    texts = [block.code for block in read_blocks(MANUAL) if block.language == "sql"]
    statements = [text.replace("dsm", store._db) for text in texts]
    setup, *queries, change, quorum = statements
    for statement in filter(str.strip, [*setup.split(";"), quorum]):  # chdb has no users
        assert store._connection.query("SELECT formatQuery(%(sql)s) AS text", {"sql": statement}).num_rows == 1
    messages, quantile, offsets, sizes = (store._connection.query(query).to_pylist() for query in queries)
    assert messages == [{"name": "billing", "written": 0, "read": 4}, {"name": "shop", "written": 4, "read": 0}]
    assert [row["p99"] for row in quantile] == [pytest.approx(0.25, rel=0.016)]
    assert offsets == [{"tags": TAGS, "latest": 17}]
    assert {row["table"] for row in sizes} >= {"sketches", "points", "offsets", "periods", "services"}
    store._connection.command(change)


def test_names_are_kept_for_as_long_as_the_last_row_that_has_them() -> None:
    """A name in use is written again after an hour only."""
    tables = {statement.split()[5]: statement for statement in create_statements("dsm", DAY)}
    assert f"INTERVAL {DAY} SECOND" in tables["dsm.sketches"]
    assert f"INTERVAL {DAY + HOUR} SECOND" in tables["dsm.points"]
    assert f"INTERVAL {DAY + HOUR} SECOND" in tables["dsm.backlogs"]


def test_statements_for_a_cluster_are_valid_and_name_it(clickhouse: ClickHouse) -> None:
    connection = Connection(parse_address(clickhouse.address(), {}))
    try:
        for statement in create_statements("dsm", DAY, "metrics"):
            (row,) = connection.query("SELECT formatQuery(%(sql)s) AS text", {"sql": statement}).to_pylist()
            assert "ON CLUSTER metrics" in row["text"]
            assert ("ENGINE = Replicated" in row["text"]) != ("ENGINE = Distributed(metrics" in row["text"])
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("clickhouse://ch", Address("ch", 8123, "default", "", "default")),
        ("clickhouse://u:p%40@ch:9/dsm", Address("ch", 9, "u", "p@", "dsm")),
        ("CLICKHOUSE://u:p@ch/dsm/", Address("ch", 8123, "u", "p", "dsm")),
        (" Clickhouse://u@ch/dsm?secure=TRUE ", Address("ch", 8443, "u", "", "dsm", True)),
        ("clickhouse://u@ch/dsm?secure=true&cluster=all", Address("ch", 8443, "u", "", "dsm", True, "all")),
    ],
)
def test_address_of_a_clickhouse_is_read(url: str, expected: Address) -> None:
    assert is_address(url)
    assert parse_address(url, {}) == expected
    assert parse_address("clickhouse://u@ch", {"CLICKHOUSE_PASSWORD": "secret"}).password == "secret"  # noqa: S105


@pytest.mark.parametrize(
    "rest", ["", "ch/a-b", "ch/a/b", "ch:port", "ch?cluster=a'b", "ch?other=1", "ch?secure=yes", "ch#x", "ch:0"]
)
@pytest.mark.parametrize("scheme", ["clickhouse://", "CLICKHOUSE://"])
def test_wrong_address_is_refused_without_its_password(scheme: str, rest: str) -> None:
    with pytest.raises(OptionError, match="--store must be a path or clickhouse://") as caught:
        parse_address(f"{scheme}user:secret@{rest}", {})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "clickhouse:user:secret@ch/dsm",
        "ClickHouse:/user:secret@ch/dsm",
        "postgres://user:secret@ch/dsm",
        "clickhouse://user:sec#ret@ch/dsm",
        "clickhouse://user?secret=x@ch/dsm",
        "clickhouse:user:secret://ch",
    ],
)
def test_url_of_something_else_is_no_file_and_is_not_shown_with_its_password(url: str) -> None:
    assert is_address(url)
    with pytest.raises(OptionError, match="--store must be") as caught:
        parse_address(url, {})
    assert not any(part in str(caught.value) for part in ("secret", "sec#", "ret@"))


@pytest.mark.parametrize(
    ("rest", "hint"),
    [
        ("ch:0/dsm", "ports are from 1 to 65535"),
        ("ch/dsm/more", "names of databases and clusters have letters, digits and _"),
        ("ch/dsm?tls=true", "no other options than cluster and secure"),
    ],
)
def test_wrong_part_of_an_address_is_explained(rest: str, hint: str) -> None:
    with pytest.raises(OptionError, match=hint):
        parse_address(f"clickhouse://{rest}", {})


def test_answer_that_is_no_table_counts_as_none(clickhouse: ClickHouse) -> None:
    connection = Connection(parse_address(clickhouse.address(), {}))
    with closing(connection), pytest.raises(StoreUnavailableError, match="its answer is not one of ClickHouse"):
        connection.query("SET max_threads = 1")


class ProxyPage(BaseHTTPRequestHandler):
    """Answers everything with a page, as a proxy does whose server is away."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002  (the base class names it)


def test_rows_that_a_proxy_answered_for_do_not_count_as_written(clickhouse: ClickHouse) -> None:
    connection: Any = Connection(parse_address(clickhouse.address(), {}))
    with closing(connection), ThreadingHTTPServer(("127.0.0.1", 0), ProxyPage) as proxy:
        thread = Thread(target=proxy.serve_forever)
        thread.start()
        connection._client._backend._base_url = f"http://127.0.0.1:{proxy.server_port}/"
        try:
            with pytest.raises(StoreUnavailableError, match="its answer to rows of numbers is not one of ClickHouse"):
                connection.insert("numbers", pa.table({"number": [1]}))
        finally:
            proxy.shutdown()
            thread.join()


def test_agent_without_its_clickhouse_ends_with_an_error_that_names_it() -> None:
    command = [
        sys.executable,
        "-m",
        "asyncdsm",
        "agent",
        "--port",
        "0",
        "--store",
        "clickhouse://u:secret@127.0.0.1:1/dsm",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (1, "")
    problem = "clickhouse://127.0.0.1:1/dsm: it cannot be reached: Connection refused"
    assert ended.stderr == f"asyncdsm agent: cannot use the store {problem}\n"


@only
async def test_two_agents_answer_over_http_with_the_same_map(open_store: Opener) -> None:
    stores = [await to_thread.run_sync(lambda: open_store(now=lambda: NOW)) for _ in range(2)]
    async with (
        running_agent(store=stores[0]) as one,
        running_agent(store=stores[1]) as other,
        Client(base_url=one.url, timeout=20) as first,
        Client(base_url=other.url, timeout=20) as second,
    ):
        for number, client in enumerate([first, second, first]):
            answer = await client.report(payload(bucket(point(Hash=number + 1)), Service=f"s{number}"))
            assert answer.status_code == 202
        maps = [await client.topology() for client in (first, second)]
    assert maps[0] == maps[1]
    assert [service["name"] for service in maps[0]["services"]] == ["s0", "s1", "s2"]
    assert np.sum([edge["count"] for edge in maps[0]["edges"]]) == 12


@only
def test_answer_to_rows_for_a_cluster_means_that_they_are_on_their_shard(open_store: Opener) -> None:
    """Without that setting, a distributed table takes rows into a queue."""
    store = open_store(now=lambda: NOW)
    assert isinstance(store, ClickHouseStore)
    store._connection.command(
        f"CREATE TABLE {store._db}.noted (width UInt16, is_sync String DEFAULT "
        "toString(getSetting('distributed_foreground_insert'))) ENGINE = MergeTree ORDER BY width"
    )
    store._connection.insert("noted", pa.table({"width": pa.array([10], pa.uint16())}))
    store._connection.command(f"INSERT INTO {store._db}.noted (width) SELECT 60")
    rows = store._connection.query(f"SELECT is_sync FROM {store._db}.noted ORDER BY width")  # noqa: S608
    assert rows.to_pylist() == [{"is_sync": "true"}] * 2
