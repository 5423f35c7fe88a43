"""Versions of services: since when each was reported, and what a file has of them after a restart."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.topology import topology, topology_of
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.agent.store.versions import (
    LONGEST_VERSION,
    MOST_VERSIONS,
    VersionHistory,
    VersionRun,
    add_run,
    version_at,
)
from tests.agent.payloads import NOW, SECOND_NS, bucket, payload, point
from tests.agent.stores import KEPT_KINDS, AnyStore, OpenStore

KEY = "foreign", ""


def runs_of(*reports: tuple[str, float]) -> tuple[VersionRun, ...]:
    runs: tuple[VersionRun, ...] = ()
    for version, moment in reports:
        runs = add_run(runs, VersionRun(version, moment, moment))
    return runs


@pytest.mark.parametrize(
    ("reports", "begun"),
    [
        ([("1", 0), ("1", 10)], [("1", 0)]),
        ([("1", 0), ("2", 10), ("2", 20)], [("1", 0), ("2", 10)]),
        ([("1", 0), ("2", 10), ("1", 20), ("2", 30), ("1", 40)], [("1", 0), ("2", 10)]),  # side by side, in a rollout
        ([("1", 0), ("2", 10), ("2", 900), ("1", 910)], [("1", 0), ("2", 10), ("1", 910)]),  # a rollback
        ([("1", 0), ("2", 20), ("2", 40), ("1", 50)], [("1", 0), ("2", 20), ("1", 50)]),  # a quick rollback
        ([("1", 0), ("2", 10), ("1", 20), ("2", 50), ("1", 60)], [("1", 0), ("2", 10), ("1", 60)]),  # after a rollout
        ([("1", 0), ("2", 10), ("1", 20), ("1", 900)], [("1", 0), ("2", 10)]),  # a trial of 2 has ended
        ([("1", 0), ("1", 90_000)], [("1", 0)]),  # silent for a day, and the same version
        ([("2", 2_000), ("1", 100)], [("1", 100), ("2", 2_000)]),  # a payload that comes late
    ],
)
def test_version_begins_when_it_is_reported_first(
    reports: list[tuple[str, float]], begun: list[tuple[str, float]]
) -> None:
    assert [run[:2] for run in runs_of(*reports)] == begun


def test_versions_that_are_seldom_reported_side_by_side_do_not_begin_with_each_report() -> None:
    reports = [(str(number % 2), 40.0 * number) for number in range(500)]
    assert len(runs_of(*reports)) <= 6


def test_report_of_a_long_time_is_one_time() -> None:
    """The instance of the old version could not reach the agent for a while, that of the new one could."""
    runs = add_run(runs_of(("1", 0), ("2", 10), ("2", 300)), VersionRun("1", 10, 290))
    assert runs == (VersionRun("1", 0, 290), VersionRun("2", 10, 300))


def test_versions_of_several_agents_are_combined() -> None:
    history = VersionHistory[str]()
    runs = VersionRun("1", 0, 300), VersionRun("2", 290, 600), VersionRun("1", 620, 900)
    history.restore(("billing", run) for run in runs)
    history.combine("billing", [*runs, VersionRun("1", 100, 310), VersionRun("1", 700, 990)])
    assert history.copy_all()["billing"] == (VersionRun("1", 0, 310), runs[1], VersionRun("1", 620, 990))


def test_only_the_last_versions_are_kept() -> None:
    runs = runs_of(*((str(number), 10.0 * number) for number in range(MOST_VERSIONS + 5)))
    assert [run.version for run in runs] == [str(number) for number in range(5, MOST_VERSIONS + 5)]


@pytest.mark.parametrize(
    ("moment", "version"), [(-1, ""), (0, "1"), (499, "1"), (500, "2"), (1_200, "2"), (9_000, "1"), (99_000, "2")]
)
def test_version_at_a_moment_is_the_newest_that_was_in_use(moment: float, version: str) -> None:
    runs = VersionRun("1", 0, 9_000), VersionRun("2", 500, 1_200)
    assert version_at(runs, moment) == version


def opener_of_file(folder: Path) -> OpenStore:
    return partial(SQLiteStore, folder / "store.db", decode=read_report)


class Fleet:
    """Instances of one service that report their versions."""

    def __init__(self, open_store: OpenStore) -> None:
        self.now: float = NOW
        self.store: AnyStore = open_store(now=lambda: self.now)

    def report(self, version: str, seconds: float = 60) -> None:
        """Let an instance report a bucket, and some time pass."""
        body = payload(bucket(point(), Start=int(self.now - 10) * SECOND_NS), Version=version)
        self.store.add(read_report(body, ""))
        self.now += seconds

    def versions(self) -> list[tuple[str, float]]:
        """Return the versions in the topology of now, with the time since `NOW`."""
        (service,) = topology(self.store, 10).services
        return [(each.version, each.since - NOW) for each in service.versions]


def test_service_of_the_topology_has_its_versions(open_store: OpenStore) -> None:
    fleet = Fleet(open_store)
    for version in ("1.0", "1.0", "2.0"):
        fleet.report(version)
    assert fleet.versions() == [("1.0", -10), ("2.0", 110)]


def test_past_topology_has_the_version_of_that_time(open_store: OpenStore) -> None:
    fleet = Fleet(open_store)
    for version in ("1.0", "1.0", "2.0"):
        fleet.report(version)
    (service,) = topology_of(fleet.store, TimeRange(NOW - 60, NOW + 60)).services
    assert (service.version, [each.version for each in service.versions]) == ("1.0", ["1.0"])
    (service,) = topology(fleet.store, 10).services
    assert service.version == "2.0"


def test_past_topology_has_no_service_that_came_later(open_store: OpenStore) -> None:
    fleet = Fleet(open_store)
    fleet.report("1.0", 600)
    fleet.store.add(read_report(payload(bucket(point(), Start=int(fleet.now - 10) * SECOND_NS), Service="later"), ""))
    names = [service.name for service in topology_of(fleet.store, TimeRange(NOW - 60, NOW + 300)).services]
    assert names == ["foreign"]


def test_service_without_a_version_has_none(open_store: OpenStore) -> None:
    fleet = Fleet(open_store)
    fleet.report("")
    assert fleet.versions() == []


def test_long_version_is_cut(open_store: OpenStore) -> None:
    fleet = Fleet(open_store)
    fleet.report("v" * 900)
    assert fleet.versions() == [("v" * LONGEST_VERSION, -10)]


@pytest.mark.parametrize("open_store", KEPT_KINDS, indirect=True)
@pytest.mark.parametrize("flushed", [True, False])
def test_versions_are_there_after_a_restart(open_store: OpenStore, flushed: bool) -> None:
    fleet = Fleet(open_store)
    for version in ("1.0", "2.0"):
        fleet.report(version)
        if flushed:
            fleet.store.flush()
    before = fleet.versions()
    fleet.store.close()
    store = open_store(now=lambda: NOW + 120)
    assert [(run.version, run.since - NOW) for run in store.versions()[KEY]] == before


def test_file_of_an_earlier_release_gets_the_table(tmp_path: Path) -> None:
    Fleet(opener_of_file(tmp_path)).store.close()
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.execute("DROP TABLE versions")
    fleet = Fleet(opener_of_file(tmp_path))
    fleet.report("1.0")
    fleet.store.flush()
    fleet.store.close()
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        assert connection.execute("SELECT version, since - ? FROM versions", (NOW,)).fetchall() == [("1.0", -10)]


def test_versions_of_forgotten_services_are_deleted(tmp_path: Path) -> None:
    fleet = Fleet(opener_of_file(tmp_path))
    fleet.report("1.0")
    fleet.store.flush()
    fleet.now += fleet.store.kept_seconds + 7_200
    fleet.store.add(read_report(payload(bucket(point(), Start=int(fleet.now - 10) * SECOND_NS), Service="other"), ""))
    fleet.store.flush()
    fleet.store.close()
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        assert connection.execute("SELECT count(*) FROM versions").fetchone() == (0,)
