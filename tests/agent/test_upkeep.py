"""The upkeep of the store holds its lock only for short steps, so that nobody waits for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store import write_buffer
from asyncdsm.agent.store.histograms import Histograms, Ints
from asyncdsm.agent.store.merger import Rows
from asyncdsm.agent.store.packed_histograms import pack
from asyncdsm.agent.store.resolutions import RESOLUTIONS
from asyncdsm.agent.store.sqlite import rollup, segments, upkeep
from asyncdsm.agent.store.sqlite.state import StoreState
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import NOW
from tests.agent.test_store import EVER, TAGS, Clock, clock, kept, report
from tests.agent.test_store_file import accept, fill, make_room

__all__ = ["clock"]
SERVICES, POINTS = 30, 5


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> Iterator[SQLiteStore]:
    with closing(
        SQLiteStore(tmp_path / "store.db" if request.param == "file" else None, decode=read_report, now=clock)
    ) as store:
        yield store


def fill_hours(store: SQLiteStore, clock: Clock) -> dict[int, float]:
    """Report for two hours, and return the number of messages by hash."""
    for _ in range(24):
        for service in range(SERVICES):
            hashes = range(service * POINTS, (service + 1) * POINTS)
            store.add(report(clock, *hashes, service=f"s{service}", offset=service))
        clock.now += 300
    return dict.fromkeys(range(SERVICES * POINTS), 24.0)


def test_lock_is_released_between_steps_and_while_computing(
    store: SQLiteStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, pauses, computed = fill_hours(store, clock), list[bool](), list[bool]()
    pause = StoreState.pause

    def note_pause(state: StoreState) -> None:
        pauses.append(state.lock.locked())
        pause(state)

    def note_packing(histograms: Histograms, points: Ints) -> bytes:
        computed.append(store._state.lock.locked())
        return pack(histograms, points)

    monkeypatch.setattr(StoreState, "pause", note_pause)
    monkeypatch.setattr(segments, "pack", note_packing)
    monkeypatch.setattr(rollup, "pack", note_packing)
    store.flush()
    rolled_up = upkeep.MAX_ROLLUP_STEPS
    assert len(pauses) > rolled_up
    assert len(computed) >= SERVICES * (24 + 12)
    assert not any(pauses)
    assert not any(computed)
    assert kept(store) == expected


def test_reports_are_accepted_while_rows_are_rolled_up(
    store: SQLiteStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report between any two steps is accepted and counted once."""
    expected, pause, reported = fill_hours(store, clock), StoreState.pause, [0]

    def report_meanwhile(state: StoreState) -> None:
        pause(state)
        if reported[0] < 500:
            reported[0] += 1
            store.add(report(clock, 1, service="s0", minutes_ago=reported[0] % 150))
            if reported[0] % 10 == 0:
                assert kept(store) == {**expected, 1: expected[1] + reported[0]}

    monkeypatch.setattr(StoreState, "pause", report_meanwhile)
    for _ in range(12):
        store.flush()
        clock.now += 10
    assert store._state.coverages[RESOLUTIONS[-1]].until > NOW
    assert reported[0] > 50
    assert kept(store) == {**expected, 1: expected[1] + reported[0]}


def test_error_during_upkeep_loses_no_rows(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "store.db"
    with closing(SQLiteStore(path, decode=read_report, now=clock)) as store:
        expected = fill_hours(store, clock)
        store.flush()
        fill(store)
        clock.now += 7200
        store.add(report(clock, *range(1000, 1300), service="late"))
        expected |= dict.fromkeys(range(1000, 1300), 1.0)
        for _ in range(3):
            with pytest.raises(sqlite3.Error, match="full"):
                store.flush()
            assert kept(store) == expected
        assert [problem["name"] for problem in store.conditions.present()] == ["upkeep"]
        make_room(store)
        for _ in range(10):
            store.flush()
        assert store.conditions.present() == []
        assert kept(store) == expected
    with closing(SQLiteStore(path, decode=read_report, now=clock)) as store:
        assert kept(store) == expected


@contextmanager
def killed(path: Path) -> Iterator[SQLiteStore]:
    """Open a store that writes nothing when it is closed, as after a kill."""
    store = SQLiteStore(path, decode=read_report, now=lambda: NOW)
    yield store
    store._closing()


def test_kill_between_steps_counts_every_payload_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, pause = tmp_path / "store.db", StoreState.pause
    for step in range(1, 8):
        left = [step]

        def die(state: StoreState, left: list[int] = left) -> None:
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt
            pause(state)

        with killed(path) as store:
            store.add_all([accept(*range(step * 10, step * 10 + 10))])
            monkeypatch.setattr(StoreState, "pause", die)
            with pytest.raises(KeyboardInterrupt):
                store.flush()
            monkeypatch.setattr(StoreState, "pause", pause)
    with closing(SQLiteStore(path, decode=read_report, now=lambda: NOW)) as store:
        assert kept(store) == dict.fromkeys(range(10, 80), 4)


def test_offsets_older_than_a_day_are_thinned_to_one_a_minute(store: SQLiteStore, clock: Clock) -> None:
    for second in range(0, 600, 10):
        store.add(report(clock, offset=second))
        clock.now += 10
    store.flush()
    assert len(store.offsets(EVER)) == 60
    clock.now += 86_400
    store.add(report(clock, offset=1000))
    store.flush()
    offsets = [value for tags, _, value in store.offsets(EVER) if tags == TAGS]
    assert 10 <= len(offsets) <= 13
    assert offsets[-2:] == [590, 1000]


@pytest.mark.parametrize("with_file", [True, False])
def test_reader_does_not_hold_the_lock_while_merging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_file: bool
) -> None:
    with closing(
        SQLiteStore(tmp_path / "store.db" if with_file else None, decode=read_report, now=lambda: NOW)
    ) as store:
        store.add_all([accept(1, 2)])
        store.flush()
        store.add_all([accept(1)])
        held = list[bool]()

        def label(rows: Rows) -> Ints:
            held.append(store._state.lock.locked())
            return rows.points

        store.merge_rows(EVER, label)
        assert held
        assert not any(held)


def test_full_write_buffer_is_flushed_early(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_buffer, "MAX_BUFFERED_SLOTS", 10)
    for first in range(0, 108, 9):
        store.add_all([accept(*range(first, first + 9))])
        assert len(store._state.buffer.slots) <= 10
    assert kept(store) == dict.fromkeys(range(108), 4)
