"""Services whose clocks are behind: they report now, of a time that is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from asyncdsm.agent.alerts.readings import read_values
from asyncdsm.agent.alerts.rules import Rule
from asyncdsm.agent.alerts.view import View
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.changes import list_changes
from asyncdsm.agent.queries.history_reader import HistoryReader
from asyncdsm.agent.queries.quiet_services import mark_quiet_services
from asyncdsm.agent.queries.series import edge_series
from asyncdsm.agent.queries.time_ranges import last_minutes
from asyncdsm.agent.queries.topology import topology
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.map.text import list_warnings
from asyncdsm.map.topology import Edge, Topology
from tests.agent.payloads import NOW
from tests.agent.timeline import Hop

START = int(NOW) // 3600 * 3600
MINUTE, HOUR = 60, 3_600
GOOD, BEHIND = Hop("shop", direction="out"), Hop("billing", direction="out", queue="invoices")
QUIET = Rule("quiet", "quiet", for_seconds=60.0)


class Clocks:
    """An agent, and services that report to it every ten seconds, each with a clock of its own."""

    def __init__(self) -> None:
        self.time: float = START
        self.store: SQLiteStore = SQLiteStore(now=lambda: self.time)

    def run(self, seconds: int, **behind: int) -> None:
        """Let services report for some time, given by how many seconds the clock of each is behind."""
        for start in range(int(self.time) // 10 * 10, int(self.time) // 10 * 10 + seconds, 10):
            self.time = start + 12.0
            for hop in (GOOD, BEHIND):
                if hop.service in behind:
                    self.store.add(read_report(hop.payload(start - behind[hop.service], 10), ""))

    def wait(self, seconds: int) -> None:
        self.run(seconds, shop=0)

    def topology(self, minutes: int = 10) -> Topology:
        reader, time_range = HistoryReader(self.store), last_minutes(self.store, minutes)
        return mark_quiet_services(topology(self.store, minutes), reader, time_range)

    def hop(self, queue: str = "invoices") -> Edge:
        (edge,) = [edge for edge in self.topology().edges if edge.queue == queue]
        return edge

    def changes(self, minutes: int = 10) -> list[tuple[str, str]]:
        """Return kind and service of what is listed as changed."""
        found = list_changes(HistoryReader(self.store), last_minutes(self.store, minutes)).changes
        return [(change.kind, change.service) for change in found]

    def quiet(self) -> dict[str, float | None]:
        return {service.name: service.quiet_since for service in self.topology().services}

    def silences(self) -> dict[str, float | None]:
        """Return for how long nothing has passed each queue, as a rule of alerts reads it."""
        view = View.of(self.topology(), "present", START - HOUR)
        return {reading.place: reading.value for reading in read_values(QUIET, view)}


@pytest.fixture
def clocks() -> Iterator[Clocks]:
    """Return an agent that nothing was reported to yet."""
    clocks = Clocks()
    with closing(clocks.store):
        yield clocks


@pytest.mark.parametrize("behind", [70, 180, 420])
def test_service_whose_clock_is_behind_is_neither_quiet_nor_idle(clocks: Clocks, behind: int) -> None:
    for _ in range(3):
        clocks.run(5 * MINUTE, shop=0, billing=behind)
        clocks.store.flush()
        assert clocks.changes() == []
        assert clocks.quiet() == {"billing": None, "shop": None}
        assert clocks.hop().present.state == "steady"
        assert clocks.hop().present.rate == pytest.approx(2.0)
        assert set(clocks.silences().values()) == {0.0}
    series = edge_series(clocks.store, clocks.hop().id, last_minutes(clocks.store, 20), 10)
    assert series is not None
    assert {point.count for point in series.points if point.complete} == {20.0}


def test_hop_of_such_a_service_is_idle_since_its_last_report_came(clocks: Clocks) -> None:
    clocks.run(20 * MINUTE, shop=0, billing=180)
    stopped = clocks.time
    clocks.wait(40)
    assert all(value is not None and value < 60 for value in clocks.silences().values())
    clocks.wait(90)
    present = clocks.hop().present
    assert present.state == "idle"
    assert present.since is not None
    assert stopped - 10 <= present.since <= stopped
    (silence,) = [value for place, value in clocks.silences().items() if "invoices" in place]
    assert silence == pytest.approx(clocks.time - stopped, abs=20)
    assert clocks.changes() == [("quiet", "billing")]


@pytest.mark.parametrize("behind", [180, 1_200, 3 * HOUR])
def test_such_a_service_is_quiet_when_it_stops(clocks: Clocks, behind: int) -> None:
    clocks.run(10 * MINUTE, shop=0, billing=behind)
    stopped = clocks.time
    clocks.wait(50)
    assert clocks.changes() == []
    clocks.wait(100)
    assert clocks.changes() == [("quiet", "billing")]
    assert clocks.quiet() == {"billing": pytest.approx(stopped, abs=60), "shop": None}
    assert clocks.hop().present.state == "idle"


@pytest.mark.parametrize(("behind", "age"), [(0, None), (50, None), (180, "3 min"), (3 * HOUR, "3 h")])
def test_service_has_the_age_of_its_reports(clocks: Clocks, behind: int, age: str | None) -> None:
    clocks.run(5 * MINUTE, shop=0, billing=behind)
    shown = clocks.topology()
    (service,) = [service for service in shown.services if service.name == "billing"]
    assert service.reports_age == (behind + 12 if age else None)
    expected = f"billing: its clock seems to be behind, its reports are {age} old when they come"
    assert [each for each in list_warnings(shown) if "clock" in each] == ([expected] if age else [])


def test_old_reports_make_nothing_new_on_an_agent_that_has_just_started(clocks: Clocks) -> None:
    clocks.run(30, billing=3 * HOUR)
    for _ in range(10):
        clocks.run(90, shop=0, billing=3 * HOUR)
        assert clocks.changes(60) == []
    clocks.run(MINUTE, shop=0, billing=0)
    clocks.store.add(read_report(Hop("late").payload(clocks.time - 22, 10), ""))
    assert clocks.changes(60) == [("new", "late")]  # long after the start, a new service is still told


def test_clock_that_is_behind_is_no_rate_that_fell(clocks: Clocks) -> None:
    clocks.run(15 * MINUTE, shop=0, billing=300)
    for _ in range(6):
        clocks.run(MINUTE, shop=0, billing=300)
        assert clocks.changes() == []


def test_service_of_which_something_comes_is_not_quiet_whatever_others_do(clocks: Clocks) -> None:
    clocks.run(10 * MINUTE, shop=0, billing=0)
    empty = Hop("billing", messages=0, direction="out", queue="invoices")
    for quiet in (None, clocks.time):
        for _ in range(20):
            clocks.run(10, **({"shop": 0} if quiet is None else {}))
            clocks.store.add(read_report(empty.payload(clocks.time - 12, 10), ""))
        assert clocks.quiet()["billing"] is None
        assert ("quiet", "billing") not in clocks.changes()
    assert clocks.quiet()["shop"] is None or ("quiet", "shop") in clocks.changes()
