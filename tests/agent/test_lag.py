"""How far behind a group is: from what was produced, committed, and said by the brokers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdsm.agent.intake import read_report
from asyncdsm.agent.lag import lag_of
from asyncdsm.agent.store import Store
from asyncdsm.agent.topology import topology
from tests.agent.payloads import NOW, bucket, payload, point

Tags = tuple[str, ...]


def tags(type_: str, group: str | None = None, topic: str = "orders", partition: int = 0, cluster: str = "") -> Tags:
    parts = [f"type:{type_}", f"topic:{topic}", f"partition:{partition}"]
    parts += [f"consumer_group:{group}"] if group else []
    parts += [f"kafka_cluster_id:{cluster}"] if cluster else []
    return tuple(sorted(parts))


PRODUCED, COMMITTED, WATERMARK = tags("kafka_produce"), tags("kafka_commit", "g"), tags("kafka_high_watermark")


def behind(backlogs: Mapping[Tags, int]) -> list[int]:
    return [partition["behind"] for partition in lag_of(backlogs)]


@pytest.mark.parametrize(
    ("produced", "committed", "expected"),
    [
        (99, 100, 0),  # the last offset is 99, the next to read is 100
        (99, 99, 1),
        (99, 0, 100),
        (0, 0, 1),
        (99, 150, 0),  # the commit was heard of before the acknowledgement
        (2**63 - 1, 0, 2**63),
    ],
)
def test_produced_and_committed(produced: int, committed: int, expected: int) -> None:
    assert behind({PRODUCED: produced, COMMITTED: committed}) == [expected]


@pytest.mark.parametrize(("produced", "watermark", "expected"), [(99, 100, 10), (99, 120, 30), (120, 100, 31)])
def test_the_high_watermark(produced: int, watermark: int, expected: int) -> None:
    assert behind({PRODUCED: produced, WATERMARK: watermark, COMMITTED: 90}) == [expected]
    assert behind({COMMITTED: 90, WATERMARK: watermark}) == [max(0, watermark - 90)]


def test_what_one_partition_says() -> None:
    assert lag_of({PRODUCED: 9, COMMITTED: 4}) == [
        {"group": "g", "topic": "orders", "partition": "0", "cluster_id": None, "behind": 6, "unit": "messages"}
    ]


def test_an_end_is_unknown() -> None:
    assert lag_of({COMMITTED: 5}) == []
    assert lag_of({PRODUCED: 5}) == []
    assert lag_of({tags("rabbitmq_something"): 5, ("no", "names"): 1, (): 0}) == []


@pytest.mark.parametrize("none_yet", [-1, -1001])
def test_no_offset_yet(none_yet: int) -> None:
    assert lag_of({PRODUCED: 5, COMMITTED: none_yet}) == []
    assert lag_of({PRODUCED: none_yet, COMMITTED: 5}) == []


def test_clusters_groups_and_partitions_are_kept_apart() -> None:
    backlogs = {
        tags("kafka_produce", cluster="a"): 99,
        tags("kafka_produce", cluster="b"): 9,
        tags("kafka_produce", cluster="a", partition=1): 49,
        tags("kafka_commit", "g", cluster="a"): 90,
        tags("kafka_commit", "g", cluster="b"): 9,
        tags("kafka_commit", "h", cluster="a"): 0,
        tags("kafka_commit", "g", cluster="a", partition=1): 50,
        tags("kafka_commit", "g", cluster="c"): 5,
    }
    found = {
        (partition["group"], partition["cluster_id"], partition["partition"]): partition["behind"]
        for partition in lag_of(backlogs)
    }
    assert found == {("g", "a", "0"): 10, ("g", "a", "1"): 0, ("g", "b", "0"): 1, ("h", "a", "0"): 100}


def test_an_edge_has_the_lag_of_its_own_cluster() -> None:
    backlogs = [
        {"Tags": tags(type_, group, cluster=cluster), "Value": value}
        for cluster, ahead in (("a", 10), ("b", 20))
        for type_, group, value in (("kafka_produce", None, ahead - 1), ("kafka_commit", "g", 0))
    ]
    edges = [
        point(EdgeTags=["type:kafka", "topic:orders", "direction:in", "group:g", f"kafka_cluster_id:{cluster}"])
        for cluster in "abc"
    ]
    store = Store(now=lambda: NOW)
    store.add(read_report(payload(bucket(*edges, Backlogs=backlogs)), ""))
    assert [edge["lag"] for edge in topology(store, 10)["edges"]] == [10, 20, None]


TYPES = st.sampled_from(["kafka_produce", "kafka_commit", "kafka_high_watermark"])
KEYS = st.builds(tags, TYPES, st.sampled_from(["g", "h"]), partition=st.integers(0, 1), cluster=st.sampled_from("ab"))


@given(backlogs=st.dictionaries(KEYS, st.integers(-(2**63), 2**64 - 1)))
def test_never_below_zero(backlogs: dict[Tags, int]) -> None:
    assert all(count >= 0 for count in behind(backlogs))
