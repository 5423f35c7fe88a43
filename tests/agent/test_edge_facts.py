"""What messages said besides their latency: how the agent reads it, how long it keeps it, and how it answers."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.changes import list_changes
from asyncdsm.agent.queries.history_reader import HistoryReader
from asyncdsm.agent.queries.quiet_services import add_quiet_services
from asyncdsm.agent.queries.topology import topology_of
from asyncdsm.agent.store.edge_facts import make_room_for_facts
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.reports import AcceptedPayload, FactReport, FactSums
from asyncdsm.agent.store.resolutions import FOREVER, TimeRange
from asyncdsm.agent.store.schemas import SchemaHistory
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.agent.store.versions import VersionRun
from asyncdsm.map.topology import EdgeFacts, EdgeSchema, RecentFacts
from tests.agent.payloads import NOW, SECOND_NS, Client, bucket, payload, point
from tests.agent.stores import KEPT_KINDS, AnyStore, OpenStore

TAGS = ["direction:in", "topic:orders", "type:kafka"]
EDGE = EdgeKey("foreign", "", tuple(TAGS))
EVER = TimeRange(0, FOREVER)
DAY = 86_400
MINUTE_OF_NOW = NOW // 60 * 60


def recent_facts(count: float, *, redelivered: int) -> RecentFacts:
    """Return the facts of the last minutes, in which messages were redelivered only now."""
    return RecentFacts(
        count=count,
        redelivered=redelivered,
        redelivered_since=(NOW - 10) // 60 * 60,
        dead_lettered=0,
        dead_lettered_since=None,
    )


def facts(**given: Any) -> dict[str, Any]:
    """Return an edge's facts as a payload has them."""
    return {"EdgeTags": TAGS, **given}


def body(*given: Any, seconds_ago: float = 10, now: float = NOW, **changed: Any) -> bytes:
    """Return a payload with a point of the edge, and with facts."""
    start = int((now - seconds_ago) * SECOND_NS)
    return payload(bucket(point(EdgeTags=TAGS), Start=start, AsyncdsmFacts=list(given)), **changed)


class Kept:
    """A store whose clock is set by hand."""

    def __init__(self, open_store: OpenStore = SQLiteStore, kept_seconds: int = 7 * DAY) -> None:
        self.now: float = NOW
        self.store: AnyStore = open_store(now=lambda: self.now, kept_seconds=kept_seconds)

    def report(self, *given: Any, **changed: Any) -> None:
        """Let a service report facts of now."""
        self.store.add(read_report(body(*given, now=self.now, **changed), ""))

    def sums(self, first: float = 0, last: float = FOREVER) -> FactSums | None:
        """Return what the edge's messages said in a time range."""
        return self.store.edge_facts(TimeRange(first, last)).get(EDGE)

    def facts(self, time_range: TimeRange = EVER) -> EdgeFacts | None:
        """Return the facts of the edge in the topology."""
        (edge,) = topology_of(self.store, time_range).edges
        return edge.facts


def test_facts_are_read_with_all_their_fields() -> None:
    given = facts(
        Redelivered=3, DeadLettered=2, Waits=5, WaitNs=70, LongestWaitNs=40, Schemas=[{"Id": 17, "Subject": "orders"}]
    )
    report = read_report(body(given), "")
    assert report.unread == {}
    assert report.buckets[0].facts == [FactReport(tuple(TAGS), FactSums(3, 2, 5, 70, 40), ((17, "orders"),))]


def test_payload_without_facts_is_read_as_before() -> None:
    report = read_report(payload(bucket(point())), "")
    assert (report.unread, report.buckets[0].facts) == ({}, [])


@pytest.mark.parametrize(
    ("wrong", "first", "left"),
    [
        ({"Redelivered": -1}, "$.Stats[0].AsyncdsmFacts[0].Redelivered: Expected `int` >= 0", FactSums(0, 2)),
        ({"DeadLettered": "many"}, "$.Stats[0].AsyncdsmFacts[0].DeadLettered: Expected `int`, got `str`", FactSums(1)),
        (
            {"WaitNs": 2**63},
            "$.Stats[0].AsyncdsmFacts[0].WaitNs: Expected `int` <= 9223372036854775807",
            FactSums(1, 2),
        ),
        ({"Schemas": [{"Subject": "s"}]}, "$.Stats[0].AsyncdsmFacts[0].Schemas: Object missing", FactSums(1, 2)),
        ({"EdgeTags": "topic:orders"}, "$.Stats[0].AsyncdsmFacts[0].EdgeTags: Expected `array`, got `str`", None),
        ({"EdgeTags": ["t" * 900] * 5}, "$.Stats[0].AsyncdsmFacts[0].EdgeTags: must have at most 4096", None),
    ],
)
def test_wrong_field_is_left_out_and_named(wrong: dict[str, Any], first: str, left: FactSums | None) -> None:
    report = read_report(body(facts(Redelivered=1, DeadLettered=2) | wrong), "")
    assert report.first_unread.startswith(first)
    assert sum(report.unread.values()) == 1
    assert [each.sums for each in report.buckets[0].facts] == ([] if left is None else [left])
    assert len(report.buckets[0].points) == 1


def test_facts_that_are_no_list_are_left_out() -> None:
    start = int(NOW - 10) * SECOND_NS
    report = read_report(payload(bucket(point(), Start=start, AsyncdsmFacts=7)), "")
    assert report.first_unread == "$.Stats[0].AsyncdsmFacts: Expected `array | null`, got `int`"
    assert (len(report.buckets[0].points), report.buckets[0].facts) == (1, [])


@pytest.mark.parametrize("flushed", [True, False])
def test_facts_of_a_time_range_are_merged(open_store: OpenStore, flushed: bool) -> None:
    kept = Kept(open_store)
    for given in (
        facts(Redelivered=1, Waits=2, WaitNs=50, LongestWaitNs=40),
        facts(Waits=1, WaitNs=9, LongestWaitNs=9),
    ):
        kept.report(given, given)
        kept.now += 60
        if flushed:
            kept.store.flush()
    assert kept.sums() == FactSums(2, 0, 6, 118, 40)
    assert kept.sums(NOW + 40) == FactSums(0, 0, 2, 18, 9)
    assert kept.sums(NOW - 60, NOW) == FactSums(2, 0, 4, 100, 40)


@pytest.mark.parametrize("open_store", KEPT_KINDS, indirect=True)
@pytest.mark.parametrize("flushed", [True, False])
def test_facts_are_there_after_a_restart_once(open_store: OpenStore, flushed: bool) -> None:
    kept = Kept(open_store)
    schemas = [{"Id": 1, "Subject": "orders-value"}]
    kept.store.add_all([accepted(body(facts(Redelivered=3, Schemas=schemas)))])
    if flushed:
        kept.store.flush()
    if isinstance(kept.store, SQLiteStore):
        kept.store._file.close()  # as after a kill
    store = open_store(now=lambda: NOW)
    assert store.edge_facts(EVER) == {EDGE: FactSums(3)}
    assert [run.version for run in store.schemas()[EDGE]] == ["1 orders-value"]


def accepted(sent: bytes) -> Any:
    """Return a payload as the intake hands it to the store."""
    return AcceptedPayload(read_report(sent, ""), "", sent)


def test_file_of_an_earlier_release_gets_the_tables(tmp_path: Path) -> None:
    open_file = partial(SQLiteStore, tmp_path / "store.db", decode=read_report)
    open_file().close()
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        for table in ("facts", "fact_edges", "schemas"):
            connection.execute(f"DROP TABLE {table}")
    kept = Kept(open_file)
    kept.report(facts(Redelivered=3, Schemas=[{"Id": 1}]))
    kept.store.flush()
    assert kept.sums() == FactSums(3)
    kept.store.close()


def test_minutes_older_than_a_day_become_ten_minutes() -> None:
    kept = Kept(kept_seconds=3 * DAY)
    for _ in range(10):
        kept.report(facts(Redelivered=1, Waits=1, LongestWaitNs=7))
        kept.store.flush()
        kept.now += 60
    kept.now += DAY + 600
    kept.report()
    kept.store.flush()
    assert isinstance(kept.store, SQLiteStore)
    rows = kept.store._file.connection.execute("SELECT start % 600, redelivered FROM facts ORDER BY start").fetchall()
    assert rows == [(0, 7), (0, 3)]
    assert kept.sums() == FactSums(10, 0, 10, 0, 7)


def test_facts_older_than_the_kept_time_are_gone(open_store: OpenStore) -> None:
    kept = Kept(open_store, kept_seconds=3600)
    kept.report(facts(Redelivered=1, Schemas=[{"Id": 1}]))
    kept.store.flush()
    kept.now += 2 * 3600
    kept.report()
    kept.store.flush()
    assert kept.store.edge_facts(EVER) == {}


def test_facts_are_deleted_after_the_kept_time() -> None:
    kept = Kept(kept_seconds=3600)
    kept.report(facts(Redelivered=1, Schemas=[{"Id": 1}]))
    kept.store.flush()
    kept.now += 2 * 3600
    kept.report()
    kept.store.flush()
    assert isinstance(kept.store, SQLiteStore)
    query = "SELECT 1 FROM facts UNION ALL SELECT 1 FROM fact_edges UNION ALL SELECT 1 FROM schemas"
    assert kept.store._file.connection.execute(query).fetchall() == []


def test_bucket_that_is_too_old_has_no_facts(open_store: OpenStore) -> None:
    kept = Kept(open_store, kept_seconds=180)
    kept.report(facts(Redelivered=1))
    kept.report(facts(Redelivered=5), seconds_ago=400)
    assert kept.sums() == FactSums(1)


def test_service_with_too_many_edges_loses_its_own(tmp_path: Path) -> None:
    kept = Kept(partial(SQLiteStore, tmp_path / "store.db", decode=read_report))
    kept.report(facts(Redelivered=1), Service="small")
    for number in range(20):
        kept.now += 1
        kept.report(facts(EdgeTags=[f"topic:{number}"], Redelivered=1), Service="large")
    kept.store.flush()
    assert isinstance(kept.store, SQLiteStore)
    with kept.store._file.transaction() as connection:
        while make_room_for_facts(connection, 10):
            pass
    left = kept.store.edge_facts(EVER)
    assert {edge.service for edge in left} == {"small", "large"}
    assert len(left) <= 10
    assert EdgeKey("large", "", ("topic:19",)) in left
    kept.store.close()


def test_topology_has_counts_shares_and_waits() -> None:
    kept = Kept()  # a point has four messages
    kept.report(facts(Redelivered=1, Waits=4, WaitNs=6 * SECOND_NS, LongestWaitNs=3 * SECOND_NS))
    for _ in range(3):
        kept.report()
    assert kept.facts() == EdgeFacts(
        redelivered=1,
        redelivered_share=0.0625,
        dead_lettered=0,
        dead_lettered_share=0.0,
        waits=4,
        mean_wait=1.5,
        longest_wait=3.0,
        schemas=[],
        recent=recent_facts(16, redelivered=1),
    )


def test_edge_whose_messages_say_nothing_has_no_facts() -> None:
    kept = Kept()
    kept.report()
    assert kept.facts() is None


def test_schema_that_changes_is_a_change_of_its_edge(open_store: OpenStore) -> None:
    kept = Kept(open_store)
    for schema in ({"Id": 1, "Subject": "orders-value"}, {"Id": 2, "Subject": "orders-value"}):
        kept.report(facts(Schemas=[schema]))
        kept.now += 120
    found = kept.facts()
    assert found is not None
    assert found.schemas == [EdgeSchema(1, "orders-value", NOW - 10), EdgeSchema(2, "orders-value", NOW + 110)]
    before = kept.facts(TimeRange(0, NOW + 60))
    assert before is not None
    assert [schema.id for schema in before.schemas] == [1]
    changes = list_changes(HistoryReader(kept.store), TimeRange(NOW - 600, FOREVER)).changes
    (change,) = [each for each in changes if each.kind == "schema"]
    assert (change.service, change.queue, change.since) == ("foreign", "orders", NOW + 110)
    assert (change.before, change.now) == ("1 (orders-value)", "2 (orders-value)")


def test_schemas_of_the_edges_that_were_seen_last_are_kept_also_of_other_agents() -> None:
    history, edges = SchemaHistory(2), [EdgeKey("s", "", (f"topic:{number}",)) for number in range(4)]
    for edge in edges[:2]:
        history.add_version(edge, "1 orders", NOW)
    history.combine(edges[0], [VersionRun("1 orders", NOW, NOW + 5)])
    history.combine(edges[2], [VersionRun("2 orders", NOW, NOW)])
    assert list(history.copy_all()) == [edges[0], edges[2]]
    history.add_version(edges[3], "1 orders", NOW)
    assert list(history.copy_all()) == [edges[2], edges[3]]


async def test_api_answers_with_facts_of_edges(client: Client) -> None:
    response = await client.report(body(facts(Redelivered=1, DeadLettered=1, Schemas=[{"Id": 5}]), seconds_ago=0))
    assert response.status_code == 202
    (edge,) = (await client.topology())["edges"]
    schemas = [{"id": 5, "subject": "", "since": NOW}]
    assert edge["facts"] == {
        "redelivered": 1,
        "redelivered_share": 0.25,
        "dead_lettered": 1,
        "dead_lettered_share": 0.25,
        "waits": 0,
        "mean_wait": None,
        "longest_wait": None,
        "schemas": schemas,
        "recent": {
            "count": 4.0,
            "redelivered": 1,
            "redelivered_since": MINUTE_OF_NOW,
            "dead_lettered": 1,
            "dead_lettered_since": MINUTE_OF_NOW,
        },
    }


def test_hop_of_a_quiet_service_keeps_its_schema_without_counts() -> None:
    kept = Kept()
    kept.report(facts(Redelivered=3, Schemas=[{"Id": 17, "Subject": "orders-value"}]))
    since, time_range = NOW - 10, TimeRange(NOW + 600, NOW + 1200)
    topology = add_quiet_services(topology_of(kept.store, time_range), kept.store, {("foreign", ""): since}, time_range)
    (edge,) = topology.edges
    assert (edge.count, edge.present.state, edge.present.since) == (0.0, "idle", since)
    assert edge.facts == EdgeFacts(
        redelivered=0,
        redelivered_share=0.0,
        dead_lettered=0,
        dead_lettered_share=0.0,
        waits=0,
        mean_wait=None,
        longest_wait=None,
        schemas=[EdgeSchema(17, "orders-value", since)],
    )


def test_deliveries_of_the_last_minutes_are_told_whatever_the_range_and_since_when() -> None:
    kept = Kept()
    kept.report(facts(Redelivered=1))
    began = NOW + 1200 - 10
    for minute in range(8):  # with breaks of two minutes
        kept.now = NOW + 1200 + 60 * minute
        kept.report(*([facts(DeadLettered=1)] if minute % 3 == 0 else []))
    for first in (0, NOW + 1500):
        found = kept.facts(TimeRange(first, FOREVER))
        assert found is not None
        assert found.recent == RecentFacts(
            count=20.0,
            redelivered=0,
            redelivered_since=None,
            dead_lettered=2,
            dead_lettered_since=began // 60 * 60,
        )


def test_deliveries_end_five_minutes_after_the_last_and_begin_anew() -> None:
    kept = Kept()
    kept.report(facts(DeadLettered=1))
    kept.now += 400
    kept.report()
    found = kept.facts()
    assert found is not None
    assert found.recent is None
    kept.report(facts(DeadLettered=1))
    found = kept.facts()
    assert found is not None
    assert found.recent is not None
    assert found.recent.dead_lettered_since == (kept.now - 10) // 60 * 60


def test_deliveries_of_the_past_are_those_of_the_end_of_the_range() -> None:
    kept = Kept()
    kept.report(facts(DeadLettered=3))
    kept.now += 1200
    kept.report()
    before = kept.facts(TimeRange(0, NOW + 60))
    assert before is not None
    assert before.recent is not None
    assert before.recent.dead_lettered == 3
    kept.now += 2 * DAY  # minutes are not kept any more
    assert kept.facts(TimeRange(0, NOW + 60)) is not None


@pytest.mark.parametrize("second", [0, 1, 30, 59])
def test_last_five_minutes_are_never_shorter(second: int) -> None:
    kept, messages = Kept(), 0
    for report in range(61):
        kept.now = NOW // 60 * 60 + second + 10 * report
        messages += report > 30  # those of the last 300 seconds
        kept.report(facts(DeadLettered=1))
    found = kept.facts()
    assert found is not None
    assert found.recent is not None
    assert messages <= found.recent.dead_lettered <= messages + 6
