"""A hop in trouble: one begin and one level before, wherever it is told, until it is as it was usually."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

import pytest

from asyncdsm.agent.queries import earlier_slots
from asyncdsm.agent.queries.answers import Changes
from asyncdsm.agent.queries.changes import list_changes
from asyncdsm.agent.queries.history_reader import HistoryReader
from asyncdsm.agent.queries.latency_changes import find_trouble, last_change, state_of
from asyncdsm.agent.queries.recent_slots import SlotsOfEdges, slots_of
from asyncdsm.agent.queries.time_ranges import last_minutes
from asyncdsm.agent.queries.topology import topology
from asyncdsm.agent.queries.usual_slots import Slot
from asyncdsm.agent.store.edge_sums import EdgeSums
from asyncdsm.map.topology import Present
from tests.agent.payloads import NOW
from tests.agent.timeline import Hop, Timeline

START = int(NOW) // 3600 * 3600
MINUTE = 60
USUAL = 0.003
UP = [6.0 * step for step in range(1, 21)]
DOWN = [120.0 - 8 * step for step in range(1, 15)]
JAGGED = [4.0, 9.0, 7.0, 12.0, 20.0, 17.0, 30.0, 60.0, 45.0, 36.0, 36.0, 39.0, 39.0, 38.0]
TROUBLE = {
    "up and down": [*UP, *DOWN],
    "up, down, and up again": [*UP, *DOWN, *UP, *DOWN],
    "a plateau": [*UP, *[120.0] * 40, *DOWN],
    "plateaus on the way": [*UP[:3], *[18.0] * 12, *UP[3:], *[120.0] * 12, *DOWN[:6], *[72.0] * 12, *DOWN[6:]],
    "jagged": [*JAGGED, *UP, *reversed(JAGGED)],
    "slowly": [USUAL * 1.06**step for step in range(1, 150)],
    "twenty seconds": [9.0, 9.0],
}


def slots(slownesses: Iterable[float]) -> list[Slot]:
    return [Slot(10 * number, slowness, slowness) for number, slowness in enumerate(slownesses)]


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
def test_hop_is_as_usual_after_any_trouble(trouble: Sequence[float]) -> None:
    for now in (USUAL, USUAL * 1.1, USUAL * 0.9):
        for length in (2, 6, 30, 120):
            change = last_change(slots([*[USUAL] * 60, *trouble, *[now] * length]))
            assert change is None or state_of(now, change) == "steady", (now, length, change)


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
def test_trouble_has_one_begin_and_one_level_before(trouble: Sequence[float]) -> None:
    told = set[tuple[int, float]]()
    for length in range(1, len(trouble) + 1):
        if trouble[length - 1] > 3 * USUAL:
            change = last_change(slots([*[USUAL] * 60, *trouble[:length]]))
            told |= {(change.since, change.p50)} if change else set()
    assert len(told) == 1
    assert told.pop()[1] == pytest.approx(USUAL, rel=0.01)


def test_partial_recovery_is_still_the_same_trouble() -> None:
    change = last_change(slots([*[USUAL] * 60, *[60.0] * 60, *[1.0] * 20]))
    assert (change and change[:2]) == (600, USUAL)
    assert state_of(1.0, change) == "slower"


def test_hop_that_was_fast_for_a_minute_is_as_usual_again() -> None:
    change = last_change(slots([*[3.0] * 60, *[USUAL] * 6, *[3.1] * 6]))
    assert state_of(3.1, change) == "steady"


def test_hop_that_was_slow_for_as_long_as_is_known_is_faster() -> None:
    change = last_change(slots([*[60.0] * 60, *[USUAL] * 6]))
    assert (change and change[:2]) == (600, 60.0)
    assert state_of(USUAL, change) == "faster"


@pytest.fixture(autouse=True)
def has_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what was before a trouble be read at once, however slow the machine is."""
    monkeypatch.setattr(earlier_slots, "READING_SECONDS", 100)


@pytest.fixture
def timeline() -> Timeline:
    """Return a hop that has been as usual for twenty minutes."""
    timeline = Timeline(START)
    run(timeline, [USUAL] * 120)
    return timeline


def run(timeline: Timeline, latencies: Iterable[float]) -> None:
    """Let messages with these latencies pass, each for ten seconds."""
    for latency in latencies:
        timeline.run(10, Hop("reports", latency=latency))
        if timeline.start % MINUTE == 0:
            timeline.store.flush()


def read(timeline: Timeline, minutes: int = 10) -> tuple[Present, Changes]:
    (edge,) = topology(timeline.store, 10).edges
    return edge.present, list_changes(HistoryReader(timeline.store), last_minutes(timeline.store, minutes))


def test_map_and_what_changed_tell_the_same_of_one_trouble_until_it_is_over(timeline: Timeline) -> None:
    told = set[tuple[float, float | str | None]]()
    for latency in [*UP, *DOWN, *JAGGED]:
        run(timeline, [latency])
        present, answer = read(timeline)
        listed = [(each.kind, each.since, each.before) for each in answer.changes]
        assert listed == ([("slower", present.since, present.before)] if present.since else [])
        told |= {each[1:] for each in listed}
    assert [since - START for since, _ in told] == [20 * MINUTE]
    over = timeline.start
    run(timeline, [USUAL] * 2)
    present, answer = read(timeline)
    assert (present.state, answer.changes) == ("steady", [])
    for _ in range(6):
        run(timeline, [USUAL] * 18)
        present, answer = read(timeline)
        (change,) = answer.changes
        assert (present.state, change.kind, change.since) == ("steady", "back to usual", over)


def test_trouble_of_less_than_five_minutes_is_not_told_when_it_is_over(timeline: Timeline) -> None:
    run(timeline, [*[9.0] * 24, *[USUAL] * 6])
    present, answer = read(timeline)
    assert (present.state, answer.changes) == ("steady", [])


@pytest.mark.parametrize("minutes", [10, 360])
def test_trouble_of_three_hours_is_back_to_usual_at_its_end(minutes: int) -> None:
    timeline = after_long_trouble(hours=3)
    for _ in range(3):
        present, answer = read(timeline, minutes)
        (change,) = answer.changes
        assert (change.kind, change.since - START, change.quantile) == ("back to usual", 5 * 3600, "p50")
        assert [change.before, change.now] == pytest.approx([9.0, USUAL], rel=0.01)
        assert (present.state, present.since) == ("steady", None)
        assert [each.p50 for each in answer.usual] == pytest.approx([USUAL], rel=0.01)
        run(timeline, [USUAL] * 30)


def test_trouble_of_thirty_hours_is_back_to_usual_at_its_end() -> None:
    timeline = after_long_trouble(hours=30)
    present, answer = read(timeline)
    assert [each.kind for each in answer.changes if "rate" not in each.kind] == ["back to usual"]
    assert present.state == "steady"


def test_hop_that_was_slow_for_as_long_as_data_are_kept_is_faster() -> None:
    timeline = after_long_trouble(hours=3, before=9.0)
    present, answer = read(timeline)
    assert [(each.kind, each.since - START) for each in answer.changes] == [("faster", 5 * 3600)]
    assert (present.state, present.since) == ("faster", START + 5 * 3600)


def test_without_time_to_read_what_was_before_trouble_one_call_after_the_other_reads_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timeline = after_long_trouble(hours=3)
    clock, now = count(), [0]

    def read_slots(start: int, sums: EdgeSums) -> SlotsOfEdges:
        now[0] = next(clock)
        return slots_of(start, sums)

    monkeypatch.setattr(earlier_slots, "READING_SECONDS", 1)
    monkeypatch.setattr(earlier_slots, "monotonic", lambda: now[0])  # time passes while slots are read
    monkeypatch.setattr(earlier_slots, "slots_of", read_slots)
    told = [read(timeline)[1].changes[0].kind for _ in range(20)]
    assert told == sorted(told, reverse=True)
    assert set(told) == {"faster", "back to usual"}


def after_long_trouble(hours: int, before: float = USUAL) -> Timeline:
    """Return a hop that was slow for some hours, as it was not before; and has been as usual for two minutes."""
    timeline = Timeline(START)
    for seconds, latency in ((2 * 3600, before), (hours * 3600, 9.0), (120, USUAL)):
        timeline.run(seconds, Hop("reports", latency=latency))
        timeline.store.flush()
    return timeline


def test_usual_of_a_hop_is_what_it_was_before_its_trouble_and_after_it(timeline: Timeline) -> None:
    usual = list[float]()
    for latencies in ([*UP, *DOWN], [USUAL] * 2, *[[USUAL] * 30] * 5):
        run(timeline, latencies)
        usual += [each.p50 for each in read(timeline)[1].usual]
    assert usual == pytest.approx([USUAL] * 7, rel=0.01)


def test_usual_of_a_hop_that_changed_is_known_in_the_first_minutes_of_an_agent() -> None:
    timeline = Timeline(START)
    run(timeline, [USUAL] * 18)
    assert read(timeline)[1].usual == []
    run(timeline, [9.0] * 6)
    (usual,) = read(timeline)[1].usual
    assert usual.p50 == pytest.approx(USUAL, rel=0.01)
    assert usual.rate is None


def test_change_of_the_tail_alone_has_the_99th_percentile_before_and_now(timeline: Timeline) -> None:
    hops = Hop("reports", latency=USUAL, messages=180), Hop("reports", latency=8.0, messages=20)
    for _ in range(6):
        timeline.run(10, *hops)
    present, answer = read(timeline)
    (change,) = answer.changes
    assert (change.kind, change.quantile, change.since - START) == ("slower", "p99", 20 * MINUTE)
    assert [change.before, change.now] == pytest.approx([USUAL, 8.0], rel=0.01)
    assert (present.quantile, present.before, present.since) == ("p99", change.before, change.since)
    assert [each.p50 for each in answer.usual] == pytest.approx([USUAL], rel=0.01)


def test_median_that_became_longer_is_told_although_the_tail_was_always_long() -> None:
    timeline = Timeline(START)
    retries = Hop("reports", latency=1.06, messages=5)
    for number in range(42):
        timeline.run(10, Hop("reports", latency=0.065 if number < 36 else 0.3, messages=95), retries)
        if timeline.start % MINUTE == 0:
            timeline.store.flush()
    present, answer = read(timeline)
    (change,) = answer.changes
    assert (change.kind, change.quantile, change.since - START) == ("slower", "p50", 360)
    assert [change.before, change.now] == pytest.approx([0.065, 0.3], rel=0.01)
    assert (present.state, present.since, present.quantile) == ("slower", change.since, "p50")


def test_median_counts_by_itself_only_where_there_are_enough_messages() -> None:
    few = [Slot(10 * number, 0.15, 0.06 if number < 38 else 0.4, 1.5, 9.0) for number in range(40)]
    assert last_change(few) is None
    many = last_change([slot._replace(messages=90.0) for slot in few])
    assert many is not None
    assert (many.since, many.is_of_median) == (380, True)


def test_tail_that_became_long_is_told_although_the_median_is_as_before() -> None:
    found = last_change([Slot(10 * n, 0.06 if n < 40 else 2.0, 0.06, 0.6 if n < 40 else 20.0, 90.0) for n in range(46)])
    assert (found and (found.since, found.is_of_median)) == (400, False)


BEGIN = [*[1.15] * 2, *[0.07] * 26]
"""A service that has just started: its first messages are slow, and nothing has lasted for five minutes."""


def test_slow_begin_of_a_service_is_not_usual() -> None:
    for length in range(1, len(BEGIN)):
        change = last_change(slots(BEGIN[: length + 1]))
        assert state_of(BEGIN[length], change) == "steady", length
    for length in range(2, 60):
        change = last_change(slots([*BEGIN, *[1.3] * 2, *[0.3] * length]))
        assert change is not None
        assert (state_of(0.3, change), change.since, change.slowness) == ("slower", 280, 0.07)


def test_hop_is_back_to_usual_also_if_what_was_before_trouble_was_only_the_begin() -> None:
    for length in range(2, 60):
        change = last_change(slots([*BEGIN, *[0.31] * 32, *[0.06] * length]))
        assert change is not None
        assert (state_of(0.06, change), change.since, change.slowness) == ("steady", 600, 0.07)
        assert find_trouble(change) is not None


def test_one_slot_that_differs_little_from_the_one_before_is_no_change() -> None:
    assert last_change(slots([*[1.0] * 40, 1.1, 3.2])) is None


def test_hop_that_is_back_to_usual_has_the_worst_of_its_trouble_and_the_time_at_which_that_was_over(
    timeline: Timeline,
) -> None:
    run(timeline, [*UP, *[120.0] * 20, *[0.9] * 6, 0.1])
    over = timeline.start
    for _ in range(4):
        run(timeline, [USUAL] * 18)
        (change,) = read(timeline)[1].changes
        assert (change.kind, change.since) == ("back to usual", over)
        assert change.before == pytest.approx(120.0, rel=0.01)


@pytest.mark.parametrize(("messages", "state"), [(30, "steady"), (300, "faster")])
def test_tail_is_shorter_only_after_so_many_messages_that_slow_ones_are_not_missing_by_chance(
    messages: float, state: str
) -> None:
    usual, without_slow = Slot(0, 0.2, 0.01, 2.0, 80), Slot(0, 0.01, 0.01, 0.04, messages)
    known = [usual] * 60 + [without_slow] * 6
    change = last_change([slot._replace(start=10 * number) for number, slot in enumerate(known)])
    assert state_of(without_slow.slowness, change) == state


def test_hop_that_was_as_slow_in_every_second_minute_is_not_slower() -> None:
    varying = [*[0.05] * 7, *[2.0] * 6] * 5
    for length in range(20, len(varying)):
        change = last_change(slots(varying[:length]))
        assert state_of(varying[length - 1], change) == "steady", length
