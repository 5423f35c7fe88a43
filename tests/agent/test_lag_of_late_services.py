"""Lag where the clock of one side is behind: it is that of the moment, not that of the times that its buckets have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.changes import list_changes
from asyncdsm.agent.queries.history_reader import HistoryReader
from asyncdsm.agent.queries.lag import GroupLag, current_lags
from asyncdsm.agent.queries.lag_over_time import lag_over_time
from asyncdsm.agent.queries.time_ranges import last_minutes
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.map.topology import PartitionLag
from tests.agent.payloads import NOW, payload, point
from tests.agent.stores import KEPT_KINDS, AnyStore, OpenStore
from tests.agent.test_lag import COMMITTED, PRODUCED, Tags

START, MINUTE = int(NOW) // 3600 * 3600, 60
RATE = 20
"""Messages a second."""
READS = ["type:kafka", "topic:orders", "direction:in", "group:g"]
WRITES = ["type:kafka", "topic:orders", "direction:out"]


class Clocks:
    """A producer and a consumer, each with a clock that is some seconds behind, and the agent that they report to."""

    def __init__(self, open_store: OpenStore = SQLiteStore, *, producer: int = 0, consumer: int = 0) -> None:
        self.time: int = START
        self.store: AnyStore = open_store(now=lambda: float(self.time))
        self._behind = {"shop": producer, "billing": consumer}
        self._outbox: dict[str, list[bytes]] | None = None
        self.stopped_at: int | None = None
        """Since when the group reads at half the rate, in seconds since the epoch."""

    def read(self, moment: int) -> int:
        """Return how many messages the group has read by a moment: two seconds are always under way."""
        slow = 0 if self.stopped_at is None else max(0, moment - self.stopped_at)
        return max(0, (moment - 2 - START) * RATE - slow * RATE // 2)

    def run(self, seconds: int) -> None:
        """Let services report for some time, two seconds after each of their buckets has ended."""
        for second in range(self.time + 1, self.time + seconds + 1):
            self.time = second
            for service, tags, offset in (
                ("shop", PRODUCED, lambda moment: (moment - START) * RATE - 1),
                ("billing", COMMITTED, self.read),
            ):
                end = self.time - 2 - self._behind[service]
                if end % 10 == 0:
                    self._report(service, end - 10, {tags: offset(self.time - 2)})
            if self.time % MINUTE == 0:
                self.store.flush()

    def _report(self, service: str, start: int, offsets: Mapping[Tags, int]) -> None:
        hop = point(EdgeTags=READS if service == "billing" else WRITES, Hash=len(service), ParentHash=1)
        backlogs = [{"Tags": tags, "Value": value} for tags, value in offsets.items()]
        fields = {"Start": start * 10**9, "Duration": 10**10, "Stats": [hop], "Backlogs": backlogs}
        body = payload(fields, Service=service)
        if self._outbox is None:
            self.store.add(read_report(body, ""))
        else:
            self._outbox.setdefault(service, []).append(body)

    def lose_agent(self, seconds: int) -> Iterator[str]:
        """Let reports wait for some time, then deliver one after the other, and yield whose it was."""
        self._outbox = {}
        self.run(seconds)
        waiting, self._outbox = self._outbox, None
        for service, bodies in waiting.items():
            for place, body in enumerate(bodies):
                if place % 20 == 19:
                    self.run(1)  # meanwhile, they go on
                self.store.add(read_report(body, ""))
                yield service

    def lag(self) -> tuple[GroupLag, PartitionLag]:
        """Return the lag of the group, and that of its partition."""
        lags = current_lags(self.store, last_minutes(self.store, 10))
        return lags.groups["g", "orders", None], lags.partitions[0]

    def growing_since(self) -> list[float]:
        """Return since when lags are listed as growing, in seconds since the group reads at half the rate."""
        changes = list_changes(HistoryReader(self.store), last_minutes(self.store, 10)).changes
        return [change.since - (self.stopped_at or 0) for change in changes if change.kind == "lag grows"]


SKEWED = pytest.mark.parametrize(
    ("producer", "consumer"), [(0, 0), (0, 45), (0, 183), (0, 420), (183, 0), (420, 0), (183, 183), (183, 420)]
)


@SKEWED
def test_group_that_keeps_up_does_whatever_the_clocks_say(producer: int, consumer: int) -> None:
    clocks = Clocks(producer=producer, consumer=consumer)
    clocks.run(4 * MINUTE + max(producer, consumer))
    for _ in range(20):
        clocks.run(3)
        group, partition = clocks.lag()
        assert partition.behind <= 15 * RATE
        assert group.seconds is not None
        assert group.seconds < 20
        assert group.velocity.trend == "steady"
    assert clocks.growing_since() == []
    series = lag_over_time(clocks.store, last_minutes(clocks.store, 5), "orders", None).series[0].points
    assert max(each.behind for each in series) <= 15 * RATE


@SKEWED
def test_group_that_falls_behind_has_its_age_and_its_begin(producer: int, consumer: int) -> None:
    clocks = Clocks(producer=producer, consumer=consumer)
    clocks.run(4 * MINUTE + max(producer, consumer))
    clocks.stopped_at = clocks.time
    clocks.run(3 * MINUTE)
    for _ in range(6):
        clocks.run(10)
        group, partition = clocks.lag()
        behind = (clocks.time - clocks.stopped_at) * RATE // 2
        assert partition.behind == pytest.approx(behind, abs=30 * RATE)
        assert group.seconds == pytest.approx(behind / RATE, abs=30)
        assert group.velocity.trend == "falling behind"
    (since,) = clocks.growing_since()
    assert 0 <= since <= 60


@pytest.mark.parametrize("open_store", KEPT_KINDS, indirect=True)
def test_range_of_the_past_has_the_lag_of_its_end(open_store: OpenStore) -> None:
    clocks = Clocks(open_store, consumer=183)
    clocks.run(8 * MINUTE)
    end = clocks.time - MINUTE
    (lag,) = current_lags(clocks.store, TimeRange(end - 120, end)).partitions
    assert lag.behind <= 15 * RATE
    (series,) = lag_over_time(clocks.store, TimeRange(end - 120, end), "orders", None).series
    assert [each.start for each in series.points] == list(range((end - 120) // 10 * 10, end, 10))
    assert max(each.behind for each in series.points) <= 15 * RATE


def test_offsets_that_another_service_reports_in_time_are_not_moved() -> None:
    clocks = Clocks(producer=183)
    clocks.run(5 * MINUTE)
    for _ in range(20):
        clocks.run(10)
        start = (clocks.time - 12) // 10 * 10
        offsets = {"Tags": PRODUCED, "Value": (start + 10 - START) * RATE - 1}
        report = payload(
            {"Start": start * 10**9, "Duration": 10**10, "Stats": [], "Backlogs": [offsets]}, Service="web"
        )
        clocks.store.add(read_report(report, ""))
    assert clocks.lag()[1].behind <= 15 * RATE


@pytest.mark.parametrize("consumer", [0, 183])
def test_reports_that_waited_for_the_agent_do_not_move_the_past(consumer: int) -> None:
    clocks = Clocks(consumer=consumer)
    clocks.run(8 * MINUTE)
    before = TimeRange(clocks.time - 5 * MINUTE, clocks.time - 4 * MINUTE)
    expected = lag_over_time(clocks.store, before, "orders", None).series[0].points
    for place, _ in enumerate(clocks.lose_agent(10 * MINUTE)):
        if place % 10 == 0:
            assert lag_over_time(clocks.store, before, "orders", None).series[0].points == expected
    for _ in range(6):
        clocks.run(20)
        assert clocks.lag()[1].behind <= 15 * RATE
        series = lag_over_time(clocks.store, last_minutes(clocks.store, 15), "orders", None).series[0].points
        assert max(each.behind for each in series) <= 15 * RATE


def test_service_that_stopped_while_its_reports_came_late_has_its_offsets_where_they_were() -> None:
    clocks = Clocks()
    clocks.run(8 * MINUTE)
    before = TimeRange(clocks.time - 5 * MINUTE, clocks.time - 4 * MINUTE)
    expected = lag_over_time(clocks.store, before, "orders", None)
    next(clocks.lose_agent(10 * MINUTE))
    assert lag_over_time(clocks.store, before, "orders", None) == expected
