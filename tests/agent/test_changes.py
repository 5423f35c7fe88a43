"""What changed, as the agent tells it: services that report for an hour, and then something happens."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.queries.answers import Change
from asyncdsm.agent.queries.changes import MOST_CHANGES, list_changes
from asyncdsm.agent.queries.history_reader import HistoryReader
from asyncdsm.agent.queries.time_ranges import last_minutes
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import NOW, Client
from tests.agent.timeline import Hop, Timeline

START = int(NOW) // 3600 * 3600
MINUTE, HOUR, DAY = 60, 3_600, 86_400
SHOP = Hop("shop", direction="out", latency=0.001)
BILLING = Hop("billing")
SHIPPING = Hop("shipping", queue="invoices")
ALL = SHOP, BILLING, SHIPPING


@pytest.fixture
def timeline() -> Timeline:
    """Return a system that has been running for forty minutes."""
    timeline = Timeline(START)
    timeline.run(40 * MINUTE, *ALL)
    return timeline


def changes(timeline: Timeline, minutes: int = 10) -> list[Change]:
    return list_changes(HistoryReader(timeline.store), last_minutes(timeline.store, minutes)).changes


def summaries(found: list[Change]) -> list[tuple[str, str, float]]:
    """Return kind and service of each change, and since which second of the timeline."""
    return [(change.kind, change.service, change.since - START) for change in found]


def test_nothing_changes_in_a_steady_system(timeline: Timeline) -> None:
    assert changes(timeline) == []
    assert changes(timeline, 60) == []


def test_empty_store_has_no_changes() -> None:
    answer = list_changes(HistoryReader(SQLiteStore(now=lambda: NOW)), TimeRange(NOW - 600, NOW))
    assert (answer.changes, answer.usual, answer.cut) == ([], [], {})


def test_service_that_stops_is_quiet_since_its_last_report(timeline: Timeline) -> None:
    timeline.run(70, SHOP, BILLING)
    assert changes(timeline) == []  # it may be late
    timeline.run(30, SHOP, BILLING)
    assert summaries(changes(timeline)) == [("quiet", "shipping", 2400)]
    (change,) = changes(timeline)
    assert (change.edge, change.before, change.now, change.usual, change.is_usual) == (None, None, None, None, False)


def test_quiet_service_is_listed_hours_later(timeline: Timeline) -> None:
    timeline.run(3 * HOUR, SHOP, BILLING)
    assert [each[:2] for each in summaries(changes(timeline))] == [("quiet", "shipping")]
    timeline.run(22 * HOUR)
    timeline.run(10 * MINUTE, SHOP, BILLING)
    assert ("quiet", "shipping") not in [each[:2] for each in summaries(changes(timeline))]


def test_service_that_reports_again_is_not_quiet(timeline: Timeline) -> None:
    timeline.run(3 * MINUTE, SHOP, BILLING)
    timeline.run(3 * MINUTE, *ALL)
    assert "quiet" not in {change.kind for change in changes(timeline)}


def test_whole_system_that_stops_is_quiet(timeline: Timeline) -> None:
    timeline.run(2 * MINUTE)
    assert summaries(changes(timeline)) == [("quiet", name, 2400) for name in ("billing", "shipping", "shop")]


def test_new_version_that_is_slower_is_listed_as_both(timeline: Timeline) -> None:
    timeline = Timeline(START)
    timeline.run(40 * MINUTE, SHOP, BILLING._replace(version="1.0"))
    timeline.run(MINUTE, SHOP, BILLING._replace(version="2.0", latency=4.2))
    slower, version = changes(timeline)
    assert summaries([slower, version]) == [("slower", "billing", 2400), ("version", "billing", 2400)]
    assert [slower.before, slower.now] == pytest.approx([0.3, 4.2], rel=0.01)
    assert (version.edge, version.before, version.now) == (None, "1.0", "2.0")
    assert (slower.direction, slower.queue, slower.group) == ("in", "orders", "billing")


def test_hop_that_was_slower_for_longer_than_ten_minutes_has_its_time(timeline: Timeline) -> None:
    timeline.run(25 * MINUTE, SHOP, BILLING._replace(latency=4.2), SHIPPING)
    assert summaries(changes(timeline)) == [("slower", "billing", 2400)]


def test_hop_that_gets_slower_and_slower_is_slower_since_that_began(timeline: Timeline) -> None:
    found = list[tuple[float, float]]()
    for minute in range(30):
        timeline.run(MINUTE, SHOP, BILLING._replace(latency=0.3 * 1.2 ** (minute + 1)), SHIPPING)
        found += [(each.since - START, round(float(each.before or 0), 2)) for each in changes(timeline)]
    since = {since for since, _ in found}
    assert len(found) > 20
    assert max(since) - min(since) <= MINUTE
    assert 40 * MINUTE <= min(since) <= 45 * MINUTE
    assert {before for _, before in found[8:]} == {0.3}


def test_hop_that_became_faster_is_listed_after_all_trouble(timeline: Timeline) -> None:
    timeline.run(2 * MINUTE, SHOP, BILLING._replace(latency=0.02), SHIPPING._replace(latency=5.0))
    assert [each[:2] for each in summaries(changes(timeline))] == [("slower", "shipping"), ("faster", "billing")]


@pytest.mark.parametrize(("messages", "kind"), [(5, "rate fell"), (60, "rate rose")])
def test_rate_that_changed_by_a_factor_has_both_rates(timeline: Timeline, messages: int, kind: str) -> None:
    timeline.run(2 * MINUTE, SHOP, BILLING._replace(messages=messages), SHIPPING)
    assert changes(timeline) == []  # the last minute is not over for all services
    timeline.run(MINUTE, SHOP, BILLING._replace(messages=messages), SHIPPING)
    (change,) = changes(timeline)
    assert (change.kind, change.service, change.since - START) == (kind, "billing", 2400)
    assert (change.before, change.now) == (2.0, messages / 10)


def test_hop_without_messages_has_the_rate_zero_while_its_service_reports(timeline: Timeline) -> None:
    timeline.run(3 * MINUTE, SHOP, SHIPPING, BILLING._replace(queue="other"))
    fell = [change for change in changes(timeline) if change.kind == "rate fell"]
    assert [(change.service, change.queue, change.now) for change in fell] == [("billing", "orders", 0.0)]


def test_edges_of_a_quiet_service_are_not_listed_one_by_one(timeline: Timeline) -> None:
    timeline.run(5 * MINUTE, SHOP, BILLING)
    assert summaries(changes(timeline)) == [("quiet", "shipping", 2400)]


def test_first_messages_of_an_edge_make_it_new(timeline: Timeline) -> None:
    timeline.run(MINUTE, *ALL, BILLING._replace(queue="refunds"))
    (change,) = changes(timeline)
    assert (change.kind, change.service, change.queue, change.since - START) == ("new", "billing", "refunds", 2400)
    timeline.run(4 * MINUTE, *ALL, BILLING._replace(queue="refunds"))
    assert summaries(changes(timeline)) == [("new", "billing", 2400)]
    timeline.run(80 * MINUTE, *ALL, BILLING._replace(queue="refunds"))
    assert changes(timeline) == []


@pytest.mark.parametrize(("minutes", "kinds"), [(9, []), (10, ["new"])])
def test_edge_of_the_first_ten_minutes_is_not_new(minutes: int, kinds: list[str]) -> None:
    timeline = Timeline(START)
    timeline.run(minutes * MINUTE, *ALL)
    timeline.run(MINUTE, *ALL, BILLING._replace(queue="refunds"))
    assert [change.kind for change in changes(timeline)] == kinds


def test_service_whose_edges_are_all_new_is_listed_once(timeline: Timeline) -> None:
    timeline.run(MINUTE, *ALL, Hop("mailing"), Hop("mailing", queue="mails"))
    (change,) = changes(timeline)
    assert (change.kind, change.service, change.edge, change.since - START) == ("new", "mailing", None, 2400)
    timeline.run(4 * MINUTE, *ALL, Hop("mailing"), Hop("mailing", queue="mails"))
    assert summaries(changes(timeline)) == [("new", "mailing", 2400)]


def test_edge_that_was_idle_for_hours_is_not_new() -> None:
    timeline = Timeline(START)
    timeline.run(20 * MINUTE, *ALL, Hop("nightly"))
    timeline.run(3 * HOUR, *ALL)
    timeline.run(5 * MINUTE, *ALL, Hop("nightly"))
    assert "new" not in {change.kind for change in changes(timeline)}


@pytest.mark.parametrize(("seconds", "kinds"), [(50, []), (90, ["quiet"])])
def test_after_a_restart_services_have_a_minute_to_report_and_nothing_is_new(
    tmp_path: Path, seconds: int, kinds: list[str]
) -> None:
    before = Timeline(START, tmp_path / "store.db")
    before.run(40 * MINUTE, *ALL)
    before.store.close()
    after = Timeline(START + 50 * MINUTE, tmp_path / "store.db")
    with closing(after.store):
        after.run(seconds, SHOP, BILLING)
        assert [change.kind for change in changes(after)] == kinds


def test_quiet_service_never_flickers_after_a_restart(tmp_path: Path) -> None:
    before = Timeline(START, tmp_path / "store.db")
    before.run(40 * MINUTE, *ALL)
    before.store.close()
    after = Timeline(START + 42 * MINUTE, tmp_path / "store.db")
    listed = list[bool]()
    with closing(after.store):
        for _ in range(12):
            after.run(10, SHOP, BILLING)
            listed.append("quiet" in [change.kind for change in changes(after)])
    assert listed == sorted(listed)
    assert (listed[0], listed[-1]) == (False, True)


def test_edge_that_is_new_has_no_rate_before_after_a_restart_either(tmp_path: Path) -> None:
    refunds = BILLING._replace(queue="refunds")
    before = Timeline(START, tmp_path / "store.db")
    before.run(40 * MINUTE, *ALL)
    before.run(5 * MINUTE, *ALL, refunds)
    before.store.close()
    after = Timeline(START + 46 * MINUTE, tmp_path / "store.db")
    with closing(after.store):
        after.run(10 * MINUTE, *ALL, refunds)
        assert [(each.kind, each.queue, each.since - START) for each in changes(after)] == [("new", "refunds", 2400)]


def test_all_new_edges_of_many_services_are_listed_after_a_restart_and_no_old_ones(tmp_path: Path) -> None:
    services = [Hop(f"service-{number}") for number in range(25)]
    refunds = [service._replace(queue="refunds") for service in services]
    weekly = BILLING._replace(queue="weekly")
    before = Timeline(START, tmp_path / "store.db")
    before.run(20 * MINUTE, *services, weekly)
    before.run(26 * HOUR, SHOP)
    before.run(3 * MINUTE, *services, *refunds)
    before.store.close()
    after = Timeline(before.start + MINUTE, tmp_path / "store.db")
    with closing(after.store):
        after.run(MINUTE, *services, *refunds, weekly)
        new = [(each.service, each.queue) for each in changes(after, 60) if each.kind == "new"]
    assert sorted(new) == sorted((hop.service, hop.queue) for hop in refunds)


def test_edge_that_was_idle_for_hours_has_a_rate_of_zero_before_after_a_restart_too(tmp_path: Path) -> None:
    nightly = BILLING._replace(queue="nightly")
    before = Timeline(START, tmp_path / "store.db")
    before.run(20 * MINUTE, *ALL, nightly)
    before.run(3 * HOUR, *ALL)
    before.store.close()
    after = Timeline(START + 3 * HOUR + 21 * MINUTE, tmp_path / "store.db")
    with closing(after.store):
        after.run(5 * MINUTE, *ALL, nightly)
        assert [(each.kind, each.queue, each.before) for each in changes(after)] == [("rate rose", "nightly", 0.0)]


@pytest.mark.parametrize("minutes", [6, 7])
def test_edge_of_the_first_ten_minutes_has_no_rate_before(minutes: int) -> None:
    timeline = Timeline(START)
    timeline.run(minutes * MINUTE, *ALL)
    timeline.run(5 * MINUTE, *ALL, BILLING._replace(queue="refunds"))
    assert changes(timeline) == []


def test_rate_of_an_edge_that_is_an_hour_old_is_compared_with_its_own(timeline: Timeline) -> None:
    refunds = BILLING._replace(queue="refunds")
    timeline.run(62 * MINUTE, *ALL, refunds)
    timeline.run(4 * MINUTE, *ALL, refunds._replace(messages=80))
    assert [(each.kind, each.queue, each.before, each.now) for each in changes(timeline)] == [
        ("rate rose", "refunds", 2.0, 8.0)
    ]


def test_long_range_lists_what_changed_in_it(timeline: Timeline) -> None:
    timeline.run(5 * HOUR, SHOP, BILLING._replace(latency=4.2), SHIPPING)
    assert changes(timeline) == []
    (change,) = changes(timeline, 6 * 60)
    assert (change.kind, change.service) == ("slower", "billing")
    assert change.since - START == 2400


def test_past_range_lists_what_had_changed_at_its_end(timeline: Timeline) -> None:
    timeline.run(5 * MINUTE, SHOP, BILLING)
    timeline.run(20 * MINUTE, *ALL)
    at = START + 45 * MINUTE
    answer = list_changes(HistoryReader(timeline.store), TimeRange(at - 600, at))
    assert summaries(answer.changes) == [("quiet", "shipping", 2400)]
    assert (answer.from_, answer.to) == (at - 3600, at)


def test_change_that_is_usual_at_this_hour_is_listed_last_with_what_is_usual() -> None:
    timeline = Timeline(START)
    nightly = BILLING._replace(latency=4.2)
    timeline.run(20 * MINUTE, SHOP, BILLING, SHIPPING)
    timeline.run(HOUR, SHOP, nightly, SHIPPING)
    timeline.start = START + DAY
    timeline.run(40 * MINUTE, SHOP, BILLING, SHIPPING)
    timeline.run(3 * MINUTE, SHOP, nightly, SHIPPING._replace(messages=2))
    fell, slower = changes(timeline)
    assert (fell.kind, fell.is_usual, fell.usual) == ("rate fell", False, 2.0)
    assert (slower.kind, slower.is_usual) == ("slower", True)
    assert slower.usual == pytest.approx(4.2, rel=0.01)


def test_slowest_hops_have_their_usual_latency_and_rate(timeline: Timeline) -> None:
    timeline.run(20 * MINUTE, *ALL)
    answer = list_changes(HistoryReader(timeline.store), last_minutes(timeline.store, 10))
    assert [(round(each.p50, 2), round(each.rate or 0.0, 2)) for each in answer.usual] == [
        (0.3, 2.0),
        (0.3, 2.0),
        (0.0, 2.0),
    ]


def test_usual_latency_of_a_hop_that_changed_is_that_before_the_change(timeline: Timeline) -> None:
    timeline.run(30 * MINUTE, SHOP, BILLING._replace(latency=4.2), SHIPPING)
    answer = list_changes(HistoryReader(timeline.store), last_minutes(timeline.store, 10))
    (slower,) = answer.changes
    usual = {each.edge: each.p50 for each in answer.usual}
    assert usual[slower.edge or ""] == pytest.approx(0.3, rel=0.01)


def test_list_is_cut_and_says_by_how_much() -> None:
    timeline, many = Timeline(START), [Hop(f"service {number}") for number in range(MOST_CHANGES + 3)]
    for _ in range(5):
        timeline.run(10, SHOP, *many)
        timeline.run(50, SHOP)
    timeline.run(4 * MINUTE, SHOP)
    answer = list_changes(HistoryReader(timeline.store), last_minutes(timeline.store, 10))
    assert (len(answer.changes), answer.cut) == (MOST_CHANGES, {"changes": 3})


async def test_changes_are_served_with_ids_of_the_map(timeline: Timeline) -> None:
    timeline.run(2 * MINUTE, SHOP, BILLING._replace(latency=4.2))
    async with running_agent(store=timeline.store) as agent, Client(base_url=agent.url, timeout=20) as client:
        answer: dict[str, Any] = (await client.get("/api/changes", params={"minutes": 30})).json()
        drawn = (await client.get("/api/map", params={"minutes": 30})).json()
        bad = await client.get("/api/changes", params={"from": "5", "to": "3"})
    quiet, slower = answer["changes"]
    nodes = {node["name"]: node["id"] for node in drawn["nodes"]}
    edges = {edge["service"]: edge["id"] for edge in drawn["edges"]}
    assert (quiet["kind"], quiet["node"], quiet["edge"]) == ("quiet", nodes["shipping"], None)
    assert (slower["kind"], slower["node"], slower["edge"]) == ("slower", nodes["billing"], edges["billing"])
    assert (answer["from"], answer["to"]) == (timeline.time - HOUR, timeline.time)
    assert drawn["oldest"] == START
    assert (bad.status_code, bad.json()["error"]["path"]) == (400, "from")


async def test_quiet_service_stays_on_the_map_with_its_hops_as_long_as_it_is_listed(timeline: Timeline) -> None:
    async with running_agent(store=timeline.store) as agent, Client(base_url=agent.url, timeout=20) as client:

        async def drawn(**parameters: float) -> tuple[list[tuple[str, float | None]], list[tuple[str, str]]]:
            answer = (await client.get("/api/map", params=parameters)).json()
            assert {node["id"] for node in answer["nodes"]} >= {link["from"] for link in answer["links"]}
            return (
                [(each["name"], each["quiet_since"]) for each in answer["nodes"] if each["kind"] == "service"],
                [(each["service"], each["present"]["state"]) for each in answer["edges"]],
            )

        assert await drawn() == (
            [("billing", None), ("shipping", None), ("shop", None)],
            [("billing", "steady"), ("shipping", "steady"), ("shop", "steady")],
        )
        quiet = [("billing", None), ("shipping", START + 2400), ("shop", None)]
        for minutes in (2, 30, 4 * 60):
            timeline.run(minutes * MINUTE, SHOP, BILLING)
            nodes, hops = await drawn()
            assert (nodes, sorted(hops)) == (
                quiet,
                [("billing", "steady"), ("shipping", "idle"), ("shop", "steady")],
            )
        at = START + 2400 + 60 * MINUTE
        nodes, _ = await drawn(**{"from": at - 600, "to": at})
        assert nodes == quiet
        timeline.run(20 * MINUTE, *ALL)
        assert (await drawn())[0] == [("billing", None), ("shipping", None), ("shop", None)]
