"""What the map shows of now: new trouble at once, no trouble that is over, and since when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from asyncdsm.agent.alerts.watcher import AlertWatcher
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries import recent_slots
from asyncdsm.agent.queries.changes import list_changes
from asyncdsm.agent.queries.history_reader import HistoryReader
from asyncdsm.agent.queries.latency_changes import Change, last_change, state_of
from asyncdsm.agent.queries.topology import topology, topology_of
from asyncdsm.agent.queries.usual_slots import Slot
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.cli.map import FORMATS
from asyncdsm.core.edge import Edge
from asyncdsm.map.levels import level_of, slowness_of
from asyncdsm.map.topology import Present
from tests.agent.payloads import NOW, SECOND_NS, bucket, ours, passed, payload, point, sketch

IN = Edge("direction:in", "group:g", "topic:orders", "type:kafka")
FAST, SLOW = [0.005] * 50, [30.0] * 50
START = int(NOW) - 600


class Hop:
    """A hop of which the test reports one bucket after the other; each arrives as late as a tracer sends it."""

    def __init__(self) -> None:
        self.now: float = START
        self.store: SQLiteStore = SQLiteStore(now=lambda: self.now)
        self.start: int = START

    def passed(self, *buckets: Sequence[float], service: str = "billing") -> None:
        """Report latencies in seconds, a bucket of ten seconds each."""
        for latencies in buckets:
            self.report(partial(passed, edge=IN, seconds=latencies, parent=1), service)
            self.start += 10
            self.now = self.start + 12.0

    def report(self, record: Callable[[Any], object], service: str) -> None:
        for body in ours(record, service, at_ns=self.start * SECOND_NS):
            self.store.add(read_report(body, "gzip"))

    def present(self, minutes: int = 10) -> Present:
        """Return what the map of a range says of now."""
        (edge,) = topology(self.store, minutes).edges
        return edge.present


@pytest.fixture
def hop() -> Hop:
    """Return a hop that nothing has passed yet."""
    return Hop()


def test_steady_hop_has_its_median_and_no_change(hop: Hop) -> None:
    hop.passed(*[FAST] * 40)
    present = hop.present()
    assert (present.state, present.since, present.before) == ("steady", None, None)
    assert (present.level, present.label) == (1, "4.98 ms")
    assert present.rate == pytest.approx(5.0)


@pytest.mark.parametrize("minutes", [5, 10, 60])
def test_slow_messages_show_in_tail_after_one_bucket_then_in_median(hop: Hop, minutes: int) -> None:
    hop.passed(*[FAST] * 54, SLOW)
    assert hop.present(minutes).level == 4
    assert (hop.present(minutes).label, hop.present(minutes).tail) == ("4.98 ms", "29.8 s")
    hop.passed(SLOW)
    present = hop.present(minutes)
    assert (present.level, present.label, present.state) == (5, "29.8 s", "slower")
    assert present.since == START + 540
    assert present.before == pytest.approx(0.005, rel=0.01)


def test_past_slowness_is_gone_after_two_buckets(hop: Hop) -> None:
    hop.passed(*[SLOW] * 50, FAST, FAST)
    present = hop.present()
    assert (present.level, present.label, present.state) == (1, "4.98 ms", "faster")
    assert present.since == START + 500
    assert present.before == pytest.approx(30, rel=0.01)


@pytest.mark.parametrize("slow", [SLOW, [*FAST, *[30.0] * 6]], ids=["median", "tail"])
def test_alert_ends_when_no_message_of_the_last_minute_was_slow(hop: Hop, tmp_path: Path, slow: list[float]) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("[[rule]]\nname = 'orders wait'\nwhen = 'time in queue'\nabove = '10 s'\n")
    watcher, states = AlertWatcher(hop.store, rules), list[str]()
    hop.passed(*[FAST] * 40, *[slow] * 4)
    for _ in range(7):
        watcher._evaluate()
        states.append(watcher.answer.rules[0].state)
        hop.passed(FAST)
    assert states == [*["firing"] * 6, "ok"]  # a bucket of ten seconds after the other


def test_hop_that_is_back_to_normal_is_not_faster(hop: Hop) -> None:
    hop.passed(*[FAST] * 20, *[SLOW] * 30, FAST, FAST)
    for _ in range(5):
        present = hop.present()
        assert (present.level, present.state, present.since) == (1, "steady", None)
        hop.passed(*[FAST] * 6)
        hop.store.flush()


@pytest.mark.parametrize("buckets", [60, 62, 65])
@pytest.mark.parametrize(("before", "now"), [(FAST, SLOW), (SLOW, FAST), (FAST, [0.015] * 50)])
def test_time_of_a_change_stays_what_it_was(hop: Hop, buckets: int, before: list[float], now: list[float]) -> None:
    hop.passed(*[before] * buckets, now, now)
    changed = hop.start - 20
    state = "steady"
    for _ in range(12):
        assert hop.present().since in {float(changed), None}
        state = hop.present().state
        listed = list_changes(HistoryReader(hop.store), TimeRange(hop.now - 600, hop.now + 1)).changes
        assert [each.since for each in listed if each.kind in {"slower", "faster"}] == [changed] * (state != "steady")
        hop.passed(*[now] * 6)
        hop.store.flush()
    assert state != "steady"


def test_time_of_a_change_is_kept_where_only_coarse_slots_show_it(hop: Hop) -> None:
    hop.passed(*[FAST] * 63)
    changed = hop.start
    for _ in range(100):
        hop.passed(*[SLOW] * 6)
        hop.store.flush()
    listed = list_changes(HistoryReader(hop.store), TimeRange(hop.now - 12_000, hop.now + 1)).changes
    assert [each.since for each in listed if each.kind == "slower"] == [changed]


def test_slow_tail_alone_raises_the_level(hop: Hop) -> None:
    hop.passed(*[FAST] * 40, *[[*FAST[:45], *SLOW[:5]]] * 6)
    present = hop.present()
    assert (present.level, present.label, present.tail) == (4, "4.98 ms", "29.8 s")
    assert present.state == "slower"


def test_one_slow_message_in_fifty_does_not_raise_the_level(hop: Hop) -> None:
    hop.passed(*[FAST] * 30, [*FAST, 30.0], *[FAST] * 3)
    assert hop.present().level == 1
    assert hop.present().state == "steady"


def test_change_of_long_ago_is_not_reported(hop: Hop) -> None:
    hop.passed(*[FAST] * 10, *[SLOW] * 80)
    assert (hop.present().level, hop.present().state) == (5, "steady")


def test_hop_without_messages_is_idle_since_its_last_bucket(hop: Hop) -> None:
    hop.passed(*[SLOW] * 10)
    hop.now += 100
    present = hop.present()
    assert (present.state, present.label, present.level, present.rate) == ("idle", "idle", 0, 0.0)
    assert present.since == START + 100
    hop.now += 3_000
    assert (hop.present(60).state, hop.present(60).since) == ("idle", None)


@pytest.mark.parametrize("buckets", [31, 33, 35, 36])
def test_hop_is_idle_since_its_last_bucket_also_where_minutes_are_rolled_up(hop: Hop, buckets: int) -> None:
    hop.passed(*[FAST] * buckets)
    ended = hop.start
    for _ in range(20):
        hop.passed(*[FAST] * 6, service="other")
        hop.store.flush()
        since = {edge.service: edge.present.since for edge in topology(hop.store, 60).edges}
        assert since["billing"] in ({None, ended} if hop.start < ended + 100 else {ended})


def test_without_time_to_read_the_last_bucket_a_hop_is_idle_since_the_end_of_the_minute(
    hop: Hop, monkeypatch: pytest.MonkeyPatch
) -> None:
    hop.passed(*[FAST] * 31)
    ended = hop.start
    hop.passed(*[FAST] * 11, service="earlier")
    for _ in range(6):
        hop.passed(*[FAST] * 6, service="other")
        hop.store.flush()
    monkeypatch.setattr(recent_slots, "READING_SECONDS", -1.0)
    present = {edge.service: edge.present.since for edge in topology(hop.store, 10).edges}
    assert present["billing"] == ended + 50  # later than it was, never earlier
    monkeypatch.setattr(recent_slots, "READING_SECONDS", 60.0)
    assert {edge.service: edge.present.since for edge in topology(hop.store, 10).edges}["billing"] == ended


def test_rate_covers_only_the_time_that_was_reported(hop: Hop) -> None:
    hop.passed(FAST, FAST)
    assert hop.present().rate == pytest.approx(5.0)
    hop.passed(*[FAST] * 20)
    for wait in range(20):  # until the next payload comes, nothing is known of the last seconds
        hop.now = hop.start + float(wait)
        assert hop.present().rate == pytest.approx(5.0)


def test_past_range_has_the_state_at_its_end(hop: Hop) -> None:
    hop.passed(*[FAST] * 20, *[SLOW] * 20, *[FAST] * 20)
    (edge,) = topology_of(hop.store, TimeRange(START, START + 400.0)).edges
    assert (edge.present.level, edge.present.since) == (5, START + 200)
    assert hop.present().level == 1


def test_range_in_the_future_is_empty(hop: Hop) -> None:
    hop.passed(FAST)
    shown = topology_of(hop.store, TimeRange(hop.now + 10_000, hop.now + 20_000))
    assert (shown.minutes, shown.edges) == (0, [])


def test_figures_of_the_range_do_not_change_with_the_state(hop: Hop) -> None:
    hop.passed(*[FAST] * 50, *[SLOW] * 6)
    (edge,) = topology(hop.store, 10).edges
    assert edge.edge_latency.p50 == pytest.approx(0.005, rel=0.01)
    assert edge.count == 56 * 50


def test_point_without_latencies_is_idle(hop: Hop) -> None:
    nothing = point(EdgeLatency=sketch(), PathwayLatency=sketch())
    hop.store.add(read_report(payload(bucket(nothing, Start=START * SECOND_NS)), ""))
    assert topology(hop.store, 10).edges[0].present.state == "idle"


@pytest.mark.parametrize(("format_", "says"), [("text", "29.8 s"), ("dot", "29.8 s"), ("mermaid", "29.8 s")])
def test_every_format_shows_the_state_and_since_when(hop: Hop, format_: str, says: str) -> None:
    hop.passed(*[FAST] * 50, *[SLOW] * 6)
    written = FORMATS[format_](topology(hop.store, 10))
    assert says in written
    assert "4.98 ms" not in written.replace("4.98 ms before", "")
    assert ("slower " if format_ == "text" else "slower since ") in written


def test_image_has_the_color_of_the_current_level(hop: Hop) -> None:
    hop.passed(*[FAST] * 50, *[SLOW] * 6)
    assert 'class="link warm5"' in FORMATS["svg"](topology(hop.store, 10))


def slots(slownesses: Iterable[float]) -> list[Slot]:
    return [Slot(10 * number, slowness, slowness) for number, slowness in enumerate(slownesses)]


@pytest.mark.parametrize(
    ("slownesses", "since"),
    [
        ([], None),
        ([1.0], None),
        ([1.0, 1.0], None),
        ([1.0, 9.0], None),  # one slot is not enough
        ([1.0, 9.0, 9.0], 10),
        ([1.0, 1.0, 9.0, 8.0, 10.0], 20),
        ([1.0, 9.0, 1.0, 1.0], None),  # an outlier
        ([1.0, 9.0, 9.0, 1.0, 1.0], 30),
        ([1.0, 9.0, 1.0, 9.0, 9.0], 10),
        ([0.1, 0.2, 0.4, 0.8, 1.6, 1.7], 20),  # grows slowly: since it left the level before
        ([1e-6, 1e-6, 5e-4, 5e-4], None),  # all below a millisecond
    ],
)
def test_last_change_is_where_two_slots_agree(slownesses: list[float], since: int | None) -> None:
    change = last_change(slots(slownesses))
    assert (change and change.since) == since


def test_change_has_the_median_before() -> None:
    assert last_change(slots([5.0, 0.1, 0.1, 0.1, 9.0, 9.0])) == Change(40, 0.1, 0.1, level_since=40)


@pytest.mark.parametrize("length", [8, 12, 20, 30])
def test_slow_change_began_when_the_level_before_was_left(length: int) -> None:
    climb = [1.15**slot for slot in range(1, length + 1)]
    change = last_change(slots([*[1.0] * 20, *climb, climb[-1]]))
    assert change is not None
    assert (change.since, change.slowness) == (230, 1.0)


def test_second_step_begins_where_the_first_one_was_over_if_that_lasted_five_minutes() -> None:
    assert last_change(slots([*[0.1] * 20, *[1.0] * 30, *[10.0] * 5])) == Change(500, 1.0, 1.0, level_since=500)
    assert last_change(slots([*[0.1] * 20, *[1.0] * 29, *[10.0] * 5])) == Change(200, 0.1, 0.1, level_since=490)


@pytest.mark.parametrize(
    ("before", "now", "state"),
    [
        (0.005, 3.0, "slower"),
        (3.0, 0.005, "faster"),
        (30.0, 3.0, "faster"),
        (2.98, 2.98, "steady"),
        (9.0, 2.9, "steady"),
    ],
)
def test_hop_is_faster_only_if_its_level_fell(before: float, now: float, state: str) -> None:
    assert state_of(now, Change(0, before, before)) == state


def test_hop_whose_every_third_bucket_is_slow_is_never_faster(hop: Hop) -> None:
    for latency in [FAST, FAST, SLOW] * 16:
        hop.passed(latency)
        hop.store.flush()
        present = hop.present()
        if present.level >= 4:
            assert present.state != "faster", hop.now


@pytest.mark.parametrize(
    ("p50", "p99", "level"),
    [
        (0.0, 0.0, 0),
        (9e-4, 9e-3, 0),
        (1e-3, 1e-3, 1),
        (0.005, 0.05, 1),
        (0.005, 30.0, 4),
        (10.0, 10.0, 5),
        (1e9, 1e9, 5),
    ],
)
def test_level_rises_with_each_power_of_ten(p50: float, p99: float, level: int) -> None:
    assert level_of(slowness_of(p50, p99)) == level


@pytest.mark.parametrize("flushed", [False, True])
def test_hop_is_not_idle_after_the_clock_was_ahead(hop: Hop, *, flushed: bool) -> None:
    hop.passed(*[FAST] * 5)
    hop.start, hop.now = hop.start + 3_600, hop.now + 3_600  # the whole machine is ahead, until its clock is set
    hop.passed(*[SLOW] * 5)
    if flushed:
        hop.store.flush()
    hop.start, hop.now = hop.start - 3_600, hop.now - 3_600
    hop.passed(FAST)
    present = hop.present()
    assert (present.state, present.label, present.level) == ("steady", "4.98 ms", 1)
    hop.passed(*[FAST] * 10)
    assert hop.present().state == "steady"
    assert hop.present().rate == pytest.approx(5.0)


def test_hop_of_a_service_whose_clock_is_right_is_shown_by_an_agent_that_is_behind(hop: Hop) -> None:
    hop.passed(*[FAST] * 5)
    for turn in range(6):
        hop.now -= 3_600 if turn else 0
        hop.passed(SLOW)
        assert hop.present().state != "idle"


def test_change_of_half_an_hour_ago_is_still_told(hop: Hop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_slots, "READING_SECONDS", 60.0)
    hop.passed(*[FAST] * 60)
    changed = hop.start
    for _ in range(30):
        hop.passed(*[SLOW] * 6)
        hop.store.flush()
    present = hop.present()
    assert (present.state, present.since) == ("slower", changed)
    for _ in range(20):
        hop.passed(*[FAST] * 6, service="other")  # the agent hears of others
        hop.store.flush()
    idle = [edge.present for edge in topology(hop.store, 60).edges if edge.service == "billing"]
    assert [each.state for each in idle] == ["idle"]
    assert idle[0].since is not None
    assert changed + 1_740 < idle[0].since <= changed + 1_800  # of the past, minutes are known


def test_older_minutes_are_read_one_call_after_the_other(hop: Hop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_slots, "READING_SECONDS", -1.0)
    for latencies in (FAST, SLOW):
        for _ in range(20):
            hop.passed(*[latencies] * 6)
            hop.store.flush()
    assert hop.present().since is None
    monkeypatch.setattr(recent_slots, "READING_SECONDS", 60.0)
    assert hop.present().since == START + 1_200
    monkeypatch.setattr(recent_slots, "READING_SECONDS", -1.0)  # they are kept
    assert hop.present().since == START + 1_200
