"""Long names and tags: they take no memory, no history and no place in answers from other services."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdsm.agent.intake.fields import MAX_TAG_CHARACTERS
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries import answer_limits as bounds_module
from asyncdsm.agent.store import write_buffer
from asyncdsm.agent.store.shares import UNIT_BYTES, FairShares, measure_names, weigh_names
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import NOW_NS, SECOND_NS, Client, bucket, payload, point
from tests.agent.test_store import Clock, clock, kept

__all__ = ["clock"]

LONGEST = [letter * 1024 for letter in "abcd"]
SOME_BYTES = 8 << 20


def tags_of(number: int, letter: str = "x") -> list[str]:
    """Return tags that are as long as they may be, and differ by number."""
    return [f"topic:{number}-{part}".ljust(1024, letter) for part in range(4)]


def fat_points(first: int, count: int, letter: str = "x") -> dict[str, Any]:
    return {"Stats": [point(Hash=number, EdgeTags=tags_of(number, letter)) for number in range(first, first + count)]}


def fat_backlogs(first: int, count: int, letter: str = "x") -> dict[str, Any]:
    return {"Backlogs": [{"Tags": tags_of(number, letter), "Value": 1} for number in range(first, first + count)]}


@pytest.mark.parametrize("tags", [[*LONGEST, "e"], ["x" * 1000] * 64], ids=["one more", "many"])
def test_tags_that_are_too_long_together_are_left_out_and_counted(tags: list[str]) -> None:
    backlogs = [{"Tags": tags, "Value": 1}, {"Tags": ["topic:t"], "Value": 2}]
    read = read_report(payload(bucket(point(EdgeTags=tags), point(), Backlogs=backlogs), ProcessTags=tags), "")
    assert [one.hash for one in read.buckets[0].points] == [7]
    assert read.buckets[0].backlogs == [(("topic:t",), 2)]
    assert read.process_tags == ()
    assert dict(read.unread) == {"EdgeTags": 1, "Tags": 1, "ProcessTags": 1}
    assert read.histograms.keys.max() < read_report(payload(bucket(point(), point())), "").histograms.keys.max()


def test_tags_of_the_maximum_length_are_accepted() -> None:
    read = read_report(payload(bucket(point(EdgeTags=LONGEST), Backlogs=[{"Tags": LONGEST, "Value": 1}])), "")
    assert sum(map(len, read.buckets[0].points[0].tags)) == MAX_TAG_CHARACTERS
    assert read.buckets[0].backlogs == [(tuple(LONGEST), 1)]
    assert not read.unread


@pytest.mark.parametrize("letter", ["x", "é", "水", "😀"])
@pytest.mark.parametrize("in_file", [True, False], ids=["file", "memory"])
@pytest.mark.parametrize("fat", [fat_points, fat_backlogs])
def test_long_tags_of_one_service_are_bounded_and_cost_no_other_its_rows(
    clock: Clock, tmp_path: Path, in_file: bool, fat: Callable[[int, int, str], dict[str, Any]], letter: str
) -> None:
    path = tmp_path / "store.db" if in_file else None
    with closing(SQLiteStore(path, decode=read_report, now=clock, max_bytes=SOME_BYTES)) as store:
        for turn in range(6):
            started = (NOW_NS // SECOND_NS + 10 * turn) * SECOND_NS
            clock.now = started / SECOND_NS + 10
            store.add(read_report(payload(bucket(point(), Start=started), Service="good"), ""))
            store.add(read_report(payload(bucket(Start=started, **fat(1000 * turn, 1000, letter)), Service="fat"), ""))
            store.flush()
            assert kept(store)[7] == 4 * (turn + 1)
            assert store.used_bytes() <= SOME_BYTES
        assert store.counters()["forgotten_rows"] == 0 or fat is fat_points
        in_memory = sum(measure_names(key.tags) for key in store.points.keys.values()) + sum(
            map(measure_names, store.backlogs())
        )
        assert in_memory <= SOME_BYTES / 2


def test_offsets_with_long_tags_are_flushed_early(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_buffer, "MAX_BUFFERED_SLOTS", 100)
    store = SQLiteStore(now=clock)
    for turn in range(20):
        store.add(read_report(payload(bucket(**fat_backlogs(5 * turn, 5))), ""))
        assert sum(measure_names(tags) for tags, _ in store._state.buffer.offsets) <= 100 * UNIT_BYTES
    assert len(store.backlogs()) == 100


@pytest.mark.parametrize(
    ("names", "weight"),
    [
        (["direction:in", "group:mailers", "kafka_cluster_id:MkU3OEVBNTcwNTJENDM2Qg", "topic:orders", "type:kafka"], 1),
        (["x" * 1024], 3),
        (["é" * 1024], 5),
        (["😀" * 1024], 9),
        (["x"] * 64, 7),
    ],
)
def test_weight_of_names_grows_with_their_bytes(names: list[str], weight: int) -> None:
    assert weigh_names(names) == weight


@given(uses=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=200), most=st.integers(1, 60))
def test_weighted_shares_are_bounded_and_fair(uses: list[tuple[int, int]], most: int) -> None:
    shares, present = FairShares[int, tuple[int, int]](most), dict[tuple[int, int], int]()
    heaviest = 7
    for owner, number in uses:
        item = owner, number
        present[item] = number % heaviest + 1
        before = weights_by_owner(present)
        gone = shares.use(owner, item, present[item])
        for each in gone:
            del present[each]
        after = weights_by_owner(present)
        assert all(after[one] >= min(weight, most // len(before)) - heaviest for one, weight in before.items())
        assert shares.weight == sum(present.values()) <= most


def weights_by_owner(present: dict[tuple[int, int], int]) -> dict[int, int]:
    found = defaultdict[int, int](int)
    for (owner, _), weight in present.items():
        found[owner] += weight
    return found


async def test_answers_are_cut_by_bytes_and_keep_other_services(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds_module, "MOST_NAME_BYTES", 64_000)
    monkeypatch.setattr(bounds_module, "MOST_BYTES", 64_000)
    await client.report(payload(bucket(point()), Service="good"))
    await client.report(payload(bucket(**fat_points(1, 200)), Service="fat"))
    for path, params in (("topology", {}), ("map", {}), ("pathways", {"service": "fat"})):
        response = await client.get(f"/api/{path}", params=params)
        answer = response.json()
        assert len(response.content) < 10 * 64_000
        assert answer["cut"]
        listed = answer["pathways" if path == "pathways" else "edges"]
        assert len(listed) + answer["cut"]["pathways" if path == "pathways" else "edges"] == 200 + (path != "pathways")
        if path != "pathways":
            assert Counter(edge["service"] for edge in listed)["good"] == 1


async def test_lists_of_services_and_lags_are_cut_by_bytes(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds_module, "MOST_NAME_BYTES", 20_000)
    for number in range(30):
        name, topic = f"{number}".ljust(1000, "s"), f"topic:{number}".ljust(1000, "t")
        partition = [topic, "partition:0"]
        backlogs = [
            {"Tags": ["type:kafka_produce", *partition], "Value": 9},
            {"Tags": ["type:kafka_commit", "consumer_group:g", *partition], "Value": 1},
        ]
        await client.report(payload(bucket(point(Hash=number), Backlogs=backlogs), Service=name))
    shown = await client.topology()
    assert shown["cut"]["services"] == 30 - len(shown["services"]) > 0
    assert shown["cut"]["lag"] == 30 - len(shown["lag"]) > 0
