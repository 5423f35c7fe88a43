"""A consumer group that falls behind is a change of the hops that read for it."""

from __future__ import annotations

import pytest

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.answers import Change
from asyncdsm.agent.queries.changes import list_changes
from asyncdsm.agent.queries.history_reader import HistoryReader
from asyncdsm.agent.queries.lag import GroupLag, Lags, current_lags
from asyncdsm.agent.queries.lag_changes import find_growing_lags
from asyncdsm.agent.queries.lag_trend import Velocity
from asyncdsm.agent.store.registry import EdgeKey, edge_id
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import NOW, payload, point
from tests.agent.test_lag import COMMITTED, PRODUCED

END = 1_700_000_040.0
FALLING = Velocity("falling behind")


def reads(*more: str, group: str = "billing") -> EdgeKey:
    return EdgeKey("billing", "prod", ("direction:in", f"group:{group}", *more, "topic:orders", "type:kafka"))


def found(edges: list[EdgeKey], lags: Lags, begin: float | None = None) -> list[Change]:
    return list(find_growing_lags(edges, lags, END, lambda _: begin))


@pytest.mark.parametrize(("begin", "since"), [(END - 500, END - 500), (None, END - 180)])
def test_group_that_falls_behind_is_listed_since_it_kept_up(begin: float | None, since: float) -> None:
    lags: Lags = {("billing", "orders", None): GroupLag(1240, 180.0, FALLING)}
    (change,) = found([reads(), reads(group="audit")], lags, begin)
    assert (change.kind, change.edge, change.group) == ("lag grows", edge_id(reads()), "billing")
    assert (change.since, change.before, change.now) == (since, None, 180.0)


def test_since_stays_while_the_group_reads_on_too_slowly() -> None:
    time = begin = int(NOW) // 10 * 10
    store = SQLiteStore(now=lambda: time)
    listed = list[float]()
    for number in range(510):  # for more than an hour, in which only coarse moments are looked at
        time = begin + 10 * number + 12
        read = 40 * number + 40 if number < 60 else 2440 + 25 * (number - 60)
        offsets = [{"Tags": PRODUCED, "Value": 40 * number + 39}, {"Tags": COMMITTED, "Value": read}]
        hop = point(EdgeTags=["type:kafka", "topic:orders", "direction:in", "group:g"], Hash=2, ParentHash=1)
        start = (begin + 10 * number) * 10**9
        store.add(read_report(payload({"Start": start, "Duration": 10**10, "Stats": [hop], "Backlogs": offsets}), ""))
        if number % 30 == 29:
            store.flush()
            changes = list_changes(HistoryReader(store), TimeRange(time - 600, time + 1)).changes
            listed += [each.since - begin for each in changes if each.kind == "lag grows"]
    assert len(listed) == 15
    assert set(listed) == {listed[0]}
    assert 600 <= listed[0] <= 660


def test_group_that_recovers_catches_up_within_half_a_minute_until_it_is_done() -> None:
    """Ten messages a second; the lag grows by 5 a second for a minute, then falls by 4 a second for 75 seconds."""
    time = begin = int(NOW) // 10 * 10
    store = SQLiteStore(now=lambda: time)
    found = dict[int, tuple[str | None, float | None]]()
    for end in range(10, 300, 10):
        time = begin + end + 2
        behind = 0 if end <= 60 else min(5 * (end - 60), 300, max(0, 300 - 4 * (end - 120)))
        offsets = [{"Tags": PRODUCED, "Value": 10 * end}, {"Tags": COMMITTED, "Value": 10 * end + 1 - behind}]
        start = (begin + end - 10) * 10**9
        store.add(read_report(payload({"Start": start, "Duration": 10**10, "Stats": [], "Backlogs": offsets}), ""))
        (lag,) = current_lags(store, TimeRange(time - 600, time + 1)).groups.values()
        found[end - 120] = lag.velocity.trend, lag.velocity.done_in
    trends = {each: trend for each, (trend, _) in found.items() if each >= 0}
    assert trends == {each: "catching up" if 30 <= each < 80 else "steady" for each in trends} | {
        each: trends[each] for each in (0, 10, 20)
    }
    assert all(trends[each] in {"falling behind", "steady"} for each in (0, 10, 20))
    assert {each: found[each][1] for each in (30, 50, 70)} == pytest.approx({30: 45, 50: 25, 70: 5}, rel=0.1)


@pytest.mark.parametrize(
    "lag",
    [
        GroupLag(1240, 180.0, Velocity("steady")),
        GroupLag(1240, 180.0, Velocity("catching up", 60.0)),
        GroupLag(1240, 180.0, Velocity(None)),
        GroupLag(1240, None, FALLING),
    ],
    ids=["steady", "catching up", "unknown", "unknown age"],
)
def test_other_groups_are_not_listed(lag: GroupLag) -> None:
    assert not found([reads()], {("billing", "orders", None): lag})


def test_lag_of_another_cluster_is_not_that_of_the_edge() -> None:
    lags: Lags = {
        ("billing", "orders", "one"): GroupLag(5, 60.0, FALLING),
        ("billing", "orders", "two"): GroupLag(0, 0.0, FALLING),
    }
    (change,) = found([reads("kafka_cluster_id:one")], lags)
    assert change.now == 60.0
    assert not found([reads("kafka_cluster_id:three")], lags)
    assert not found([reads()], lags), "it is not known which of the two it is"


def test_edge_that_does_not_know_its_cluster_has_the_only_lag_of_its_group() -> None:
    (change,) = found([reads()], {("billing", "orders", "one"): GroupLag(5, 60.0, FALLING)})
    assert change.now == 60.0
