"""Sums that an agent keeps of ClickHouse's rows are those of the rows, whatever agents write meanwhile."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest

from asyncdsm.agent.store.clickhouse import row_reader
from asyncdsm.agent.store.clickhouse.store import ClickHouseStore
from asyncdsm.agent.store.edge_sums import EdgeSums
from asyncdsm.agent.store.merger import Rows
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, RESOLUTIONS, TimeRange
from asyncdsm.errors import StoreUnavailableError
from tests.agent.payloads import NOW
from tests.agent.stores import Opener
from tests.agent.test_clickhouse import accepted, only
from tests.agent.test_edge_sums import Clock, cells_of, plainly, report
from tests.agent.test_store import kept

RANGE = TimeRange(NOW - 120, NOW + 60)


def open_clickhouse(opener: Opener, **options: Any) -> ClickHouseStore:
    store = opener(**{"now": lambda: NOW, **options})
    assert isinstance(store, ClickHouseStore)
    return store


def counts_of(store: ClickHouseStore, sums: EdgeSums) -> dict[int, float]:
    """Return how many messages passed the points that are known, by their hashes."""
    keys = [store.points.keys.get(number) for number in sums.points.tolist()]
    return {key.hash: count for key, count in zip(keys, sums.counts.tolist(), strict=True) if key is not None}


def read_each_way(store: ClickHouseStore) -> list[dict[int, float]]:
    """Return the messages of each pathway as they are read by edge, by edge and start, and by point."""
    by_start = dict[int, float]()
    for sums in store.sum_edges_by_start(RANGE, coarsest=BUCKET_SECONDS).values():
        for hash_, count in counts_of(store, sums).items():
            by_start[hash_] = by_start.get(hash_, 0) + count
    return [counts_of(store, store.sum_edges(RANGE)), by_start, dict(kept(store, RANGE))]


@pytest.fixture
def count_reads(monkeypatch: pytest.MonkeyPatch) -> Callable[[ClickHouseStore], list[str]]:
    """Return a function that returns the list of queries of rows that a store sends from now on."""

    def watch(store: ClickHouseStore) -> list[str]:
        read, query = list[str](), store._connection.query

        def note(statement: str, parameters: Any = None) -> pa.Table:
            if "sketches FINAL" in statement:
                read.append(statement)
            return query(statement, parameters)

        monkeypatch.setattr(store._connection, "query", note)
        return read

    return watch


@only
def test_rows_of_ten_seconds_are_read_once_until_an_agent_marks_their_minute(
    open_store: Opener, count_reads: Callable[[ClickHouseStore], list[str]]
) -> None:
    one, other = open_clickhouse(open_store), open_clickhouse(open_store)
    one.add_all([accepted(1, at=NOW - 90), accepted(2)])
    read = count_reads(one)
    assert read_each_way(one) == [{1: 4, 2: 4}] * 3
    assert len(read) == 2  # by edge, and by point
    read.clear()
    assert read_each_way(one) == [{1: 4, 2: 4}] * 3
    assert read == []
    other.add_all([accepted(1, at=NOW - 90, Hostname="other"), accepted(3, at=NOW - 90)])
    assert read_each_way(one) == [{1: 8, 2: 4, 3: 4}] * 3
    assert len(read) == 2
    assert all(f"start >= toDateTime({int(NOW - 20)}," not in statement for statement in read)  # that minute is kept


@only
def test_rows_are_read_in_several_queries_where_there_are_many_and_each_is_kept(
    open_store: Opener, count_reads: Callable[[ClickHouseStore], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_reader, "ROWS_AT_ONCE", 6)  # three buckets of two points
    store, times = open_clickhouse(open_store), TimeRange(NOW - 600, NOW + 60)
    store.add_all([accepted(1, 2, at=NOW - 300 + 10 * number) for number in range(12)])
    read, rows = count_reads(store), store._connection.query

    def fail_last(statement: str, parameters: Any = None) -> pa.Table:
        if "sketches FINAL" in statement and len(read) == 3:
            raise StoreUnavailableError("it is away")
        return rows(statement, parameters)

    asks: list[tuple[Callable[[], dict[int, float]], int]] = [
        (lambda: dict(kept(store, times)), 2),  # of the second minute
        (lambda: counts_of(store, store.sum_edges(times)), 1),
    ]
    for ask, left in asks:
        read.clear()
        with monkeypatch.context() as patch:
            patch.setattr(store._connection, "query", fail_last)
            with pytest.raises(StoreUnavailableError):
                ask()
        for expected in (3 + left, 0):
            assert ask() == {1: 48, 2: 48}
            assert len(read) == expected
            read.clear()


@only
def test_row_that_is_not_marked_yet_counts_once_when_it_is(open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent ends after it has written rows: another one gets the payload again."""
    ending, other, reader, late = (open_clickhouse(open_store) for _ in range(4))
    other.add_all([accepted(1)])
    assert read_each_way(late) == [{1: 4}] * 3

    def fail(_: object) -> None:
        raise StoreUnavailableError("it ends")

    with monkeypatch.context() as patch:
        patch.setattr(ending._roll_up, "write", fail)
        with pytest.raises(StoreUnavailableError):
            ending.add_all([accepted(2)])
    assert read_each_way(reader) == [{1: 4, 2: 4}] * 3  # it may be seen before it is acknowledged
    other.add_all([accepted(2)])
    for agent in (ending, other, reader, late):
        assert read_each_way(agent) == [{1: 4, 2: 4}] * 3


@only
@pytest.mark.parametrize("step", ["periods", "rows"])
def test_what_is_acknowledged_while_rows_are_read_is_in_the_next_sum(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    one, other = open_clickhouse(open_store), open_clickhouse(open_store)
    one.add_all([accepted(1)])
    waiting = [accepted(number) for number in (2, 3, 4)]
    periods, read_by_start = one._rows.periods, one._rows.read_by_start

    def write() -> None:
        if waiting:
            other.add_all([waiting.pop()])

    def read_periods(first: int, last: int) -> object:
        found = periods(first, last)
        write()
        return found

    def read_rows(slices: Any) -> Iterator[tuple[int, Rows]]:
        found = list(read_by_start(slices))
        write()
        yield from found

    with monkeypatch.context() as patch:
        if step == "periods":
            patch.setattr(one._rows, "periods", read_periods)
        else:
            patch.setattr(one._rows, "read_by_start", read_rows)
        read_each_way(one)
    assert waiting == []
    assert read_each_way(one) == [{1: 4, 2: 4, 3: 4, 4: 4}] * 3


@only
def test_kept_sums_follow_points_that_are_evicted_and_come_again(open_store: Opener) -> None:
    store = open_clickhouse(open_store, max_points=2)
    store.add_all([accepted(1, at=NOW - 90), accepted(2, at=NOW - 90)])
    assert read_each_way(store) == [{1: 4, 2: 4}] * 3
    store.add_all([accepted(3)])  # 1 was used longest ago
    assert read_each_way(store) == [{2: 4, 3: 4}] * 3
    store.add_all([accepted(1, Hostname="other")])  # under another number, and its rows of before belong to it
    assert read_each_way(store) == [{1: 8, 3: 4}] * 3


@only
def test_kept_sums_follow_a_point_whose_name_comes_after_its_rows(open_store: Opener) -> None:
    """On a cluster, a replica may have rows of `sketches` before those of `points`."""
    clock = [NOW]
    one, other = (open_clickhouse(open_store, now=lambda: NOW, ticks=lambda: clock[0]) for _ in range(2))
    one._connection.command(f"CREATE TABLE {one._db}.later AS {one._db}.points")
    other.add_all([accepted(1, at=NOW - 90)])
    one._connection.command(f"EXCHANGE TABLES {one._db}.points AND {one._db}.later")
    assert read_each_way(one) == [{}] * 3
    one._connection.command(f"EXCHANGE TABLES {one._db}.points AND {one._db}.later")
    other.add_all([accepted(2)])
    clock[0] += 2
    one.maintain()
    assert read_each_way(one) == [{1: 4, 2: 4}] * 3


@only
@pytest.mark.parametrize("seed", range(2))
def test_kept_sums_of_several_agents_are_those_of_all_rows(open_store: Opener, seed: int) -> None:
    chance, clock = random.Random(seed), Clock()
    agents = [open_clickhouse(open_store, now=clock) for _ in range(2)]
    for _ in range(6):
        for _ in range(chance.randint(0, 2)):
            chance.choice(agents).add(report(chance, clock.now))
        if chance.random() < 0.4:
            roller = chance.choice(agents)
            for _ in range(2):
                roller.flush()
                clock.now += 100
        clock.now += chance.choice([0, 0, 5, 60, 300])
        coarsest = chance.choice(RESOLUTIONS)
        time_range = TimeRange(clock.now // 60 * 60 - chance.choice([60, 600, 3_600]), clock.now + 60)
        for agent in agents:
            agent.maintain()
            expected = plainly(agent, time_range, coarsest)
            found = agent.sum_edges_by_start(time_range, coarsest=coarsest)
            assert {start: dict(cells_of(sums)) for start, sums in found.items()} == {
                start: dict(cells) for start, cells in expected.items()
            }
