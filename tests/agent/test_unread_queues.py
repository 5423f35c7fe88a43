"""Queues that only fill: messages come in, and no service was seen reading them."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncdsm.agent.alerts.readings import read_values
from asyncdsm.agent.alerts.rules import Rule
from asyncdsm.agent.alerts.view import View
from asyncdsm.agent.alerts.watcher import AlertWatcher
from asyncdsm.agent.queries.left_queues import add_left_queues
from asyncdsm.agent.queries.time_ranges import last_minutes
from asyncdsm.agent.queries.topology import topology, topology_of
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.map.text import list_warnings
from asyncdsm.map.topology import Topology
from tests.agent.maps import MapStore
from tests.agent.payloads import NOW

CLUSTER = "kafka_cluster_id:c1"


def unread(fill: MapStore) -> list[str]:
    """Return the names of unread queues."""
    return [queue.name for queue in topology(fill.store, 10).queues if queue.unread]


def filled(kind: str = "kafka") -> MapStore:
    """Return a store with a queue `dead-letters` that was written to five minutes ago, and just now."""
    fill = MapStore()
    for ago in (300, 5):
        fill.passed("shop", "out", "dead-letters", kind=kind, parent=0, ago=ago)
    return fill


@pytest.mark.parametrize("kind", ["kafka", "rabbitmq", "sqs", "kinesis", "redis"])
def test_queue_without_reader_is_unread(kind: str) -> None:
    fill = filled(kind)
    assert unread(fill) == ["dead-letters"]
    (warning,) = list_warnings(topology(fill.store, 10))
    expected = f"dead-letters ({kind}): messages come in, but no service was seen reading them, since "
    assert warning.startswith(expected)


def test_queue_with_a_reader_is_not_unread() -> None:
    fill = filled()
    fill.passed("billing", "in", "dead-letters", group="g", parent=0)
    assert unread(fill) == []
    assert list_warnings(topology(fill.store, 10)) == []


def test_reader_before_the_range_is_waited_for_as_within_it() -> None:
    fill = filled()
    fill.passed("billing", "in", "dead-letters", group="g", parent=0, ago=1200)
    for minutes in (10, 30):
        assert [queue.name for queue in topology(fill.store, minutes).queues if queue.unread] == []


def test_reader_that_does_not_know_the_cluster_is_seen() -> None:
    fill = MapStore()
    for cluster in ("c1", "c2"):
        fill.passed("shop", "out", "orders", tags=[f"kafka_cluster_id:{cluster}"], parent=0, ago=300)
    fill.passed("billing", "in", "orders", group="g", parent=0)
    assert unread(fill) == []


def test_reader_in_another_cluster_is_none() -> None:
    fill = MapStore()
    for cluster in ("c1", "c2"):
        fill.passed("shop", "out", "orders", tags=[f"kafka_cluster_id:{cluster}"], parent=0, ago=300)
    fill.passed("billing", "in", "orders", group="g", tags=["kafka_cluster_id:c2"], parent=0)
    assert [(queue.cluster, queue.unread) for queue in topology(fill.store, 10).queues] == [("c1", True), ("c2", False)]


def test_warning_names_the_queue_as_the_map_tells_it_from_those_without_a_warning() -> None:
    fill = MapStore()
    for env, cluster in (("dev", "AAAAAAAA"), ("prod", "BBBBBBBB")):
        fill.passed("shop", "out", "invoices", tags=[f"kafka_cluster_id:{cluster}"], parent=0, ago=300, env=env)
    fill.passed("shop", "in", "invoices", group="g", tags=["kafka_cluster_id:BBBBBBBB"], env="prod")
    (warning,) = [each for each in list_warnings(topology(fill.store, 10)) if "reading them" in each]
    assert warning.startswith("invoices (kafka, dev): messages come in")


def test_queue_from_which_the_broker_carries_messages_on_is_not_unread() -> None:
    fill = filled("sqs")
    fill.passed("billing", "in", "archive", kind="sqs")
    assert unread(fill) == []


@pytest.mark.parametrize(("kind", "queue"), [("http", ""), ("http", "api"), ("sns", "topic"), ("eventbridge", "bus")])
def test_what_is_never_read_by_its_name_is_not_unread(kind: str, queue: str) -> None:
    fill = MapStore()
    fill.passed("shop", "out", queue, kind=kind, parent=0, ago=300)
    assert unread(fill) == []


def test_exchange_is_not_unread() -> None:
    fill = MapStore()
    fill.passed("shop", "out", "", kind="rabbitmq", tags=["exchange:orders"], parent=0, ago=300)
    assert unread(fill) == []


def test_nothing_is_unread_in_the_first_minute_because_readers_report_later() -> None:
    fill = MapStore()
    fill.passed("shop", "out", "orders", parent=0, ago=15)
    assert unread(fill) == []


class Stopped:
    """A queue that is written every ten seconds, and whose reader stopped `ago` seconds before now."""

    def __init__(self, ago: float, *, every: int = 10, length: int = 600, written_until: float = 0) -> None:
        self.now: float = NOW
        self.fill = MapStore(now=lambda: self.now)
        for back in range(length, 0, -10):
            self.now = NOW - back + 12
            if back > written_until:
                self.fill.passed("shop", "out", "mails", parent=0, ago=12)
            if back > ago and back % every == 0:
                self.fill.passed("mailing", "in", "mails", group="g", ago=12)
            self.flush_minute(back)
        self.now = NOW
        for _ in range(3):  # with a slow machine, one call after the other reads the hour before
            topology(self.fill.store, 1)

    def flush_minute(self, back: int) -> None:
        """Write what came, once a minute, so that whole minutes are rolled up."""
        if back % 60 == 0:
            self.fill.store.flush()

    def unread_since(self, minutes: int = 60) -> float | None:
        """Return how many seconds ago the queue began to be unread; None if it is read."""
        (queue,) = topology(self.fill.store, minutes).queues
        assert queue.unread == (queue.unread_since is not None)
        return None if queue.unread_since is None else NOW - queue.unread_since


@pytest.mark.parametrize("minutes", [5, 60, 1440])
def test_queue_whose_reader_stopped_is_unread_after_two_minutes_whatever_the_range(minutes: int) -> None:
    assert Stopped(20).unread_since(minutes) is None
    since = Stopped(140).unread_since(minutes)
    assert since is not None
    assert 130 <= since <= 150


@pytest.mark.parametrize("ago", [1500, 2400])
def test_queue_whose_reader_stopped_before_the_range_is_unread_since_then(ago: int) -> None:
    stopped = Stopped(ago, length=3000)
    found = {minutes: stopped.unread_since(minutes) for minutes in (10, 30, 60, 1440)}
    assert len(set(found.values())) == 1, found
    since = found[10]
    assert since is not None
    assert ago - 20 <= since <= ago + 20


def test_rule_about_unread_queues_tells_the_same_time_as_the_map() -> None:
    shown = topology(Stopped(1500, length=3000).fill.store, 10)
    view = View.of(shown, "present", 0.0)
    (value,) = (reading.value for reading in read_values(Rule("r", "unread", for_seconds=120.0), view))
    (queue,) = shown.queues
    assert queue.unread_since is not None
    assert value is not None
    assert value == pytest.approx(shown.to - queue.unread_since)
    assert 1480 <= value <= 1520


def test_queue_whose_reader_of_elsewhere_stopped_before_the_range_is_unread_since_then() -> None:
    now = float(NOW)
    fill = MapStore(now=lambda: now)
    for back in range(3000, 0, -10):
        now = NOW - back + 12
        fill.passed("shop", "out", "orders", kind="sqs", parent=0, ago=12)
        if back > 1500:
            fill.passed("billing", "in", "archive", kind="sqs", ago=12)
        if back % 60 == 0:
            fill.store.flush()
    now = NOW
    for _ in range(3):
        topology(fill.store, 1)
    (since,) = (NOW - (queue.unread_since or 0) for queue in topology(fill.store, 10).queues if queue.name == "orders")
    assert 1480 <= since <= 1520


def test_queue_that_is_read_in_intervals_is_not_unread_in_between() -> None:
    assert Stopped(20, every=120).unread_since() is None
    assert Stopped(300, every=120, length=640).unread_since() is not None


def test_queue_is_not_unread_if_nothing_is_written_to_it_any_more() -> None:
    assert Stopped(200, written_until=200).unread_since() is None


def test_reader_that_had_no_habit_yet_is_waited_for_longer() -> None:
    assert Stopped(140, length=200).unread_since() is None


class Left:
    """A queue `dead` that was written to for a minute, ending 1,800 seconds before now, beside one that is read."""

    def __init__(self) -> None:
        self.now: float = NOW - 1_860
        self.fill = MapStore(now=lambda: self.now)
        self.began = 0.0
        while self.now < NOW - 1_800:
            self.fill.passed("mailing", "out", "dead", parent=0, env="prod")
            self.began = self.began or (self.now - 5) // 10 * 10
            self.pass_time(10)
        self.pass_time(1_800)

    def pass_time(self, seconds: float) -> None:
        """Let some time pass, in which `mails` is written and read."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 60)
            self.fill.passed("shop", "out", "mails", parent=0, env="prod")
            self.fill.passed("mailing", "in", "mails", group="g", env="prod")
            self.fill.store.flush()

    def shown(self, minutes: int = 10) -> Topology:
        """Return the map of now; with a slow machine, one call after the other reads the hour before."""
        for _ in range(3):
            topology(self.fill.store, minutes)
        time_range = last_minutes(self.fill.store, minutes)
        return add_left_queues(topology_of(self.fill.store, time_range), self.fill.store, time_range)

    def unread(self, minutes: int = 10) -> dict[str, float | None]:
        """Return since when queues are unread."""
        return {queue.name: queue.unread_since for queue in self.shown(minutes).queues if queue.unread}


@pytest.mark.parametrize("minutes", [10, 60])
def test_queue_that_nobody_reads_stays_named_without_messages_until_it_is_read(minutes: int) -> None:
    left = Left()
    assert left.unread(minutes) == {"dead": left.began}
    (warning,) = list_warnings(left.shown(minutes))
    assert warning.startswith("dead (kafka): messages come in, but no service was seen reading them, since ")
    left.fill.passed("mailing", "in", "dead", group="g", parent=0, env="prod")
    assert left.unread(minutes) == {}
    left.pass_time(1_200)
    assert left.unread(minutes) == {}


def test_queue_that_was_left_for_hours_stays_named() -> None:
    left = Left()
    left.pass_time(7_200)
    assert list(left.unread()) == ["dead"]
    assert "for an hour or longer" in list_warnings(left.shown())[0]
    hop = next(edge for edge in left.shown().edges if edge.queue == "dead")
    assert (hop.service, hop.count, hop.present.state) == ("mailing", 0, "idle")


def test_queue_whose_reader_stopped_stays_named_for_an_hour() -> None:
    stopped = Stopped(600, length=900, written_until=300)
    names = [queue.name for queue in topology(stopped.fill.store, 10).queues]
    assert names == ["mails"]
    stopped.now += 900
    stopped.fill.store.flush()
    time_range = last_minutes(stopped.fill.store, 10)
    shown = add_left_queues(topology_of(stopped.fill.store, time_range), stopped.fill.store, time_range)
    (queue,) = shown.queues
    assert queue.unread_since == pytest.approx(NOW - 600, abs=20)


def test_rule_about_unread_queues_goes_on_without_messages(tmp_path: Path) -> None:
    left = Left()
    path = tmp_path / "rules.toml"
    path.write_text("[[rule]]\nname = 'dead letters lie there'\nwhen = 'unread'\nqueue = 'dead'\nfor = '1 min'\n")
    watcher = AlertWatcher(left.fill.store, path)
    left.pass_time(600)
    watcher._evaluate()
    assert watcher.answer.rules[0].state == "firing"


def test_queue_that_came_later_is_not_left_in_the_past() -> None:
    left = Left()
    time_range = TimeRange(NOW - 700, NOW - 100)
    shown = topology_of(left.fill.store, time_range)
    assert add_left_queues(shown, left.fill.store, time_range) is shown


def test_queue_is_unread_since_the_ten_seconds_of_its_first_message() -> None:
    now = float(NOW // 60 * 60 - 600 + 55)
    fill = MapStore(now=lambda: now)
    first = now - 5
    while now < NOW:
        fill.passed("shop", "out", "audit", parent=0)
        fill.store.flush()
        now += 10
    (queue,) = topology(fill.store, 30).queues
    assert queue.unread_since == first // 10 * 10


def test_rule_about_unread_queues_tells_for_how_long() -> None:
    rule = Rule("r", "unread", for_seconds=120.0, where=(("queue", "m*"),))
    for ago, is_broken in ((100, False), (140, True)):
        view = View.of(topology(Stopped(ago).fill.store, 10), "present", 0.0)
        ((place, value),) = ((reading.place, reading.value) for reading in read_values(rule, view))
        assert place == "mails"
        assert value is not None
        assert rule.is_broken_by(value) is is_broken
