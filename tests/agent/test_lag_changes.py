"""A consumer group that falls behind is a change of the hops that read for it."""

from __future__ import annotations

import pytest

from asyncdsm.agent.queries.lag import GroupLag, Lags
from asyncdsm.agent.queries.lag_changes import find_growing_lags
from asyncdsm.agent.queries.lag_trend import Velocity
from asyncdsm.agent.store.registry import EdgeKey, edge_id

END = 1_700_000_040.0
FALLING = Velocity("falling behind")


def reads(*more: str, group: str = "billing") -> EdgeKey:
    return EdgeKey("billing", "prod", ("direction:in", f"group:{group}", *more, "topic:orders", "type:kafka"))


def test_group_that_falls_behind_is_listed_since_its_oldest_unread_message() -> None:
    lags: Lags = {("billing", "orders", None): GroupLag(1240, 180.0, FALLING)}
    (change,) = find_growing_lags([reads(), reads(group="audit")], lags, END)
    assert (change.kind, change.edge, change.group) == ("lag grows", edge_id(reads()), "billing")
    assert (change.since, change.before, change.now) == (END - 180, None, 180.0)


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
    assert not list(find_growing_lags([reads()], {("billing", "orders", None): lag}, END))


def test_lag_of_another_cluster_is_not_that_of_the_edge() -> None:
    lags = {
        ("billing", "orders", "one"): GroupLag(5, 60.0, FALLING),
        ("billing", "orders", "two"): GroupLag(0, 0.0, FALLING),
    }
    (change,) = find_growing_lags([reads("kafka_cluster_id:one")], lags, END)
    assert change.now == 60.0
    assert not list(find_growing_lags([reads("kafka_cluster_id:three")], lags, END))
    assert not list(find_growing_lags([reads()], lags, END)), "it is not known which of the two it is"


def test_edge_that_does_not_know_its_cluster_has_the_only_lag_of_its_group() -> None:
    (change,) = find_growing_lags([reads()], {("billing", "orders", "one"): GroupLag(5, 60.0, FALLING)}, END)
    assert change.now == 60.0
