"""Which version of a service is slower: numbers of each version, of those that reported together, and their words."""

from __future__ import annotations

import numpy as np
import pytest

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries import version_numbers
from asyncdsm.agent.queries.parameters import ApiError
from asyncdsm.agent.queries.service_changes import find_versions
from asyncdsm.agent.queries.version_answers import VersionNumbers
from asyncdsm.agent.queries.version_numbers import compare_versions, find_service
from asyncdsm.agent.queries.version_spans import RowCodes, VersionSpan, list_spans
from asyncdsm.agent.store.histograms import EMPTY
from asyncdsm.agent.store.merger import Rows
from asyncdsm.agent.store.resolutions import FOREVER, TimeRange
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.agent.store.versions import VersionRun
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.edge import Edge
from asyncdsm.delivery.payload import pack
from asyncdsm.settings import Settings
from tests.agent.payloads import SECOND_NS, Client, bucket, passed, payload, point
from tests.agent.stores import AnyStore, OpenStore

BEGIN = 1_700_002_800
"""A whole hour, in seconds since the epoch."""
MINUTE, DAY = 60, 86_400
KEY = "billing", ""
READS = Edge("direction:in", "group:billing", "topic:orders", "type:kafka")
WRITES = Edge("direction:out", "topic:invoices", "type:kafka")

IN_MEMORY = pytest.mark.parametrize("open_store", ["memory"], indirect=True)


class Fleet:
    """Instances of billing, each of a version, which read orders and write invoices in a tenth of the time."""

    def __init__(self, open_store: OpenStore) -> None:
        self.now: float = BEGIN
        self.store: AnyStore = open_store(now=lambda: self.now)

    def report(self, version: str, start: float, latency: float = 0.1, *, count: int = 10, resent: int = 0) -> None:
        """Let an instance report `count` messages of ten seconds, which begin `start` seconds after `BEGIN`."""
        self.now = max(self.now, BEGIN + start + 12)
        at_ns = int(BEGIN + start) * SECOND_NS
        aggregator = Aggregator(*KEY, now=lambda: at_ns)
        parent = passed(aggregator, READS, [latency] * count, parent=7)
        passed(aggregator, WRITES, [latency / 10] * count, parent=parent)
        for number in range(resent and count):
            aggregator.facts.count_deliveries(READS, redelivered=number < resent, dead_lettered=False)
        (taken,), facts = aggregator.take(), aggregator.take_facts()
        settings = Settings(service="billing", hostname="host", version=version or None)
        body = pack(taken, aggregator.bucket_ns, settings, facts=facts[0] if facts else None).body
        self.store.add(read_report(body, "gzip"))

    def run(
        self, version: str, first: int, last: int, latency: float = 0.1, *, count: int = 10, resent: int = 0
    ) -> None:
        """Let an instance report every ten seconds of [first, last)."""
        for start in range(first, last, 10):
            self.report(version, start, latency, count=count, resent=resent)

    def versions(self, first: float = 0, last: float = DAY) -> list[VersionNumbers]:
        """Return the numbers of billing in a time range, in seconds since `BEGIN`."""
        return compare_versions(self.store, KEY, TimeRange(BEGIN + first, BEGIN + last)).versions

    def times(self, first: float = 0, last: float = DAY) -> list[tuple[str, float, float, float]]:
        """Return versions, from when to when, and how many messages."""
        found = self.versions(first, last)
        return [("+".join(each.versions), each.from_ - BEGIN, each.to - BEGIN, each.count) for each in found]


def near(value: float) -> object:
    return pytest.approx(value, rel=0.01)


def test_spans_are_of_one_version_or_of_those_that_reported_together() -> None:
    runs = VersionRun("2.0", 13, 1_000), VersionRun("2.1", 995, 2_000), VersionRun("2.0", 3_000, 3_005)
    assert list_spans(runs) == [
        VersionSpan((), 0, 10),
        VersionSpan(("2.0",), 10, 990),
        VersionSpan(("2.0", "2.1"), 990, 1_010),
        VersionSpan(("2.1",), 1_010, 3_000),  # also while nobody reported
        VersionSpan(("2.0",), 3_000, FOREVER),
    ]
    assert list_spans(()) == [VersionSpan((), 0, FOREVER)]


def test_numbers_of_two_versions_are_side_by_side(open_store: OpenStore) -> None:
    fleet = Fleet(open_store)
    fleet.run("2.0", 0, 300, 0.1)
    fleet.run("2.1", 300, 600, 0.24)
    one, two = fleet.versions()
    assert fleet.times() == [("2.0", 0, 300, 300), ("2.1", 300, 600, 300)]
    assert (one.rate, two.rate) == (1, 1)
    assert (one.time_in_queue.p50, two.time_in_queue.p99) == (near(0.1), near(0.24))
    assert (one.time_in_service.p50, two.time_in_service.p99) == (near(0.01), near(0.024))
    assert (one.end_to_end.p50, two.end_to_end.p99) == (near(0.02), near(0.048))  # twice as long, where it sends
    assert (one.compared_with, one.differences, two.compared_with) == (None, [], "2.0")
    assert two.differences == [
        f"{name}, {quantile} 2.4 times as long since 2.1"
        for name in ("time in queue", "time in service", "end to end")
        for quantile in ("p50", "p99")
    ]


def test_rollback_is_a_time_of_its_own_and_a_change(open_store: OpenStore) -> None:
    fleet = Fleet(open_store)
    fleet.run("1.0", 0, 300, 0.1)
    fleet.run("1.1", 300, 570, 0.4)
    before = fleet.times()
    fleet.run("1.0", 570, 900, 0.1)
    assert fleet.times() == [*before, ("1.0", 570, 900, 330)]
    assert [each.compared_with for each in fleet.versions()] == [None, "1.0", "1.1"]
    changes = find_versions(fleet.store, TimeRange(BEGIN, BEGIN + 900))
    listed = [(change.before, change.now, change.since - BEGIN) for change in changes]
    assert listed == [("1.0", "1.1", 300), ("1.1", "1.0", 570)]


@IN_MEMORY
def test_each_edge_has_its_own_numbers(open_store: OpenStore) -> None:
    fleet = Fleet(open_store)
    fleet.run("2.0", 0, 300, 0.1)
    fleet.run("2.1", 300, 600, 0.24)
    answer = compare_versions(fleet.store, KEY, TimeRange(BEGIN, BEGIN + DAY))
    reads, writes = sorted(answer.edges, key=lambda edge: edge.direction)
    assert (reads.queue, reads.group, writes.queue, writes.group) == ("orders", "billing", "invoices", None)
    assert [each.time_in_service.p50 for each in reads.versions] == [None, None]
    assert [each.time_in_queue.p50 for each in writes.versions] == [None, None]
    assert [each.time_in_service.p50 for each in writes.versions] == [near(0.01), near(0.024)]
    assert [each.end_to_end.p50 for each in reads.versions] == [near(0.2), near(0.48)]
    assert [each.count for each in writes.versions] == [300, 300]
    assert writes.versions[1].differences[0] == "time in service, p50 2.4 times as long since 2.1"


@IN_MEMORY
def test_canary_is_mixed_with_the_old_version_and_has_no_words(open_store: OpenStore) -> None:
    fleet = Fleet(open_store)
    for start in range(0, 900, 10):
        fleet.report("2.0", start, 0.1)
        if 300 <= start < 600:
            fleet.report("2.1", start, 3.0, count=4)
    assert fleet.times() == [("2.0", 0, 300, 300), ("2.0+2.1", 300, 600, 420), ("2.0", 600, 900, 300)]
    before, together, after = fleet.versions()
    assert (together.compared_with, together.differences) == (None, [])
    assert (after.compared_with, after.differences) == ("2.0", [])
    assert before.time_in_queue.p99 == after.time_in_queue.p99 == near(0.1)


@IN_MEMORY
def test_rolling_deployment_has_three_rows(open_store: OpenStore) -> None:
    fleet = Fleet(open_store)
    fleet.run("2.0", 0, 360)
    fleet.run("2.1", 300, 600)
    assert fleet.times() == [("2.0", 0, 300, 300), ("2.0+2.1", 300, 360, 120), ("2.1", 360, 600, 240)]
    assert [each.compared_with for each in fleet.versions()] == [None, None, "2.0"]


@IN_MEMORY
def test_range_cuts_what_it_has_of_a_version(open_store: OpenStore) -> None:
    fleet = Fleet(open_store)
    fleet.run("2.0", 0, 300)
    fleet.run("2.1", 300, 600)
    assert fleet.times(200, 400) == [("2.0", 200, 300, 100), ("2.1", 300, 400, 100)]
    assert fleet.times(400, 500) == [("2.1", 400, 500, 100)]


@IN_MEMORY
def test_messages_without_a_version_are_not_those_of_a_version(open_store: OpenStore) -> None:
    fleet = Fleet(open_store)
    fleet.run("", 0, 300)
    fleet.run("2.1", 300, 600, 0.5)
    assert fleet.times() == [("", 0, 300, 300), ("2.1", 300, 600, 300)]
    assert fleet.versions()[1].compared_with is None


def test_redeliveries_are_those_of_whole_minutes(open_store: OpenStore) -> None:
    fleet = Fleet(open_store)
    fleet.run("2.0", 0, 330, resent=1)
    fleet.run("2.1", 330, 600, resent=5)
    one, two = fleet.versions()
    assert (one.redelivered_share, two.redelivered_share) == (0.1, 0.5)  # the sixth minute has both versions
    assert "50 % redelivered since 2.1, 10 % before" in two.differences


@IN_MEMORY
def test_version_without_a_whole_minute_has_no_share(open_store: OpenStore) -> None:
    fleet = Fleet(open_store)
    fleet.run("2.0", 0, 330, resent=1)
    fleet.run("2.1", 330, 350, resent=5)
    fleet.run("2.2", 350, 600, resent=5)
    assert [each.redelivered_share for each in fleet.versions()] == [0.1, None, 0.5]


def test_old_minute_in_which_the_version_changed_is_of_both(open_store: OpenStore) -> None:
    """After a day only whole minutes are known."""
    fleet = Fleet(open_store)
    fleet.run("2.0", 0, 330)
    fleet.run("2.1", 330, 600, 0.5)
    fleet.report("2.1", 2 * DAY + 7_200, 0.5)
    for _ in range(10):
        fleet.now += 100
        fleet.store.flush()
    assert fleet.times(last=600) == [("2.0", 0, 300, 300), ("2.0+2.1", 300, 360, 60), ("2.1", 360, 600, 240)]


@IN_MEMORY
def test_few_messages_are_not_compared(open_store: OpenStore) -> None:
    fleet = Fleet(open_store)
    fleet.run("2.0", 0, 300, 0.1)
    fleet.report("2.1", 300, 5.0)
    fleet.run("2.2", 310, 400, 0.3)
    _, few, enough = fleet.versions()
    assert (few.compared_with, few.differences) == ("2.0", [])
    assert (enough.compared_with, enough.differences) == ("2.1", [])


@IN_MEMORY
def test_rate_and_a_faster_version_are_said(open_store: OpenStore) -> None:
    fleet = Fleet(open_store)
    fleet.run("2.0", 0, 300, 0.1)
    fleet.run("2.1", 300, 600, 0.052, count=60)
    differences = fleet.versions()[1].differences
    assert "time in queue, p99 0.52 times as long since 2.1" in differences
    assert "rate 6 times as high since 2.1" in differences


def test_service_is_found_in_the_only_environment_that_has_it(store: SQLiteStore) -> None:
    for env in ("", "staging"):
        store.add(read_report(payload(bucket(point()), Env=env), ""))
    store.add(read_report(payload(bucket(point()), Service="alone", Env="prod"), ""))
    assert find_service(store, "alone", None) == ("alone", "prod")
    assert find_service(store, "foreign", "staging") == ("foreign", "staging")
    with pytest.raises(ApiError, match="env must be given, since 'foreign' is in 2: '', 'staging'"):
        find_service(store, "foreign", None)
    with pytest.raises(ApiError, match="service must be the name of a known service, got 'alone' in the environment"):
        find_service(store, "alone", "staging")


async def test_api_answers_with_the_versions_of_a_service(client: Client, store: SQLiteStore) -> None:
    store.add(read_report(payload(bucket(point()), Version="1.0"), ""))
    answer = (await client.get("/api/versions", params={"service": "foreign"})).json()
    assert [(each["versions"], each["count"]) for each in answer["versions"]] == [(["1.0"], 4)]
    assert [edge["queue"] for edge in answer["edges"]] == ["orders"]
    wrong = await client.get("/api/versions", params={"service": "nobody"})
    assert (wrong.status_code, wrong.json()["error"]["path"]) == (404, "service")
    assert (await client.get("/api/versions")).status_code == 400


@IN_MEMORY
def test_service_that_is_silent_in_the_range_has_its_version_without_messages(open_store: OpenStore) -> None:
    fleet = Fleet(open_store)
    fleet.report("1.0", 0)
    fleet.now += 600
    (silent,) = compare_versions(fleet.store, KEY, TimeRange(BEGIN + 60, BEGIN + 300)).versions
    assert (silent.versions, silent.count, silent.rate, silent.time_in_queue.p50) == (["1.0"], 0, 0, None)


@IN_MEMORY
def test_quiet_edges_beyond_the_limit_are_counted(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version_numbers, "MOST_EDGES", 1)
    fleet = Fleet(open_store)
    fleet.report("1", 0)
    answer = compare_versions(fleet.store, KEY, TimeRange(BEGIN, BEGIN + DAY))
    assert (len(answer.edges), answer.cut) == (1, {"edges": 1})


def test_row_with_several_spans_takes_its_time_from_them() -> None:
    """In a store that is full, rows of an hour are all that is left of it."""
    spans = list_spans([VersionRun("1", 0, 5_000), VersionRun("2", 5_010, 5_100), VersionRun("3", 5_110, 9_000)])
    codes = RowCodes(spans)
    codes.encode_rows(Rows(np.array([0, 3_600, 7_200]), np.zeros(3, np.int64), EMPTY, 3_600))
    assert [each.span for each in codes.periods()] == [
        VersionSpan(("1",), 0, 3_600),
        VersionSpan(("1", "2", "3"), 3_600, 7_200),
        VersionSpan(("3",), 7_200, FOREVER),
    ]
