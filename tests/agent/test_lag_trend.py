"""Whether a group catches up: one rule, here by a table of lags in successive buckets of ten seconds."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest

from asyncdsm.agent.queries.lag_trend import Velocity, find_velocities, keeps_up, settle

STEADY, UNKNOWN, FALLING = Velocity("steady"), Velocity(None), Velocity("falling behind")


def catching_up(done_in: float) -> Velocity:
    return Velocity("catching up", done_in)


@pytest.mark.parametrize(
    ("behinds", "expected"),
    [
        pytest.param([100] * 13, STEADY, id="nothing is produced, and nothing is read"),
        pytest.param(range(0, 1300, 100), FALLING, id="the group is dead"),
        pytest.param(range(1_000_000, 1_000_013), FALLING, id="a large lag grows slowly"),
        pytest.param(range(1300, 0, -100), catching_up(10.0), id="it is nearly done"),
        pytest.param(range(1_001_200, 1_000_000 - 1, -100), catching_up(100_000.0), id="it is not done soon"),
        pytest.param([5, 9, 4, 8, 6, 5, 9, 7, 4, 8, 5, 6, 7], STEADY, id="noise"),
        pytest.param([0, 100, 200, 300, 400, 500] * 2 + [0], STEADY, id="a commit each minute"),
        pytest.param([0, 100, 200, 0, 100, 200, 0, 100, 200, 0, 100, 200, 0], STEADY, id="a commit each half minute"),
        pytest.param(
            [900, 950, 800, 850, 700, 750, 600, 650, 500, 550, 400, 450, 300],
            catching_up(60.0),
            id="it catches up in batches",
        ),
        pytest.param([0, 0, 900, 0, 0, 0, 0, 900, 0, 0, 0, 0, 5], STEADY, id="single bursts"),
        pytest.param([0] * 10 + [100, 200, 300], STEADY, id="it has just begun to fall behind"),
        pytest.param(
            [600, 600, 600, 600, 600, 500, 400, 300, 200, 100, 50, 20, 10], catching_up(1.6), id="it speeds up"
        ),
        pytest.param([0, 0, 0, *range(0, 301, 50), 261, 221, 181], catching_up(45.0), id="it recovers for 30 s"),
        pytest.param([0, 0, 0, *range(0, 351, 50), 310, 270], FALLING, id="it recovers for 20 s"),
        pytest.param(
            [1000, 980, 1010, 990] * 2 + [900, 800, 700, 600, 500], catching_up(52.0), id="after a rough level"
        ),
        pytest.param([300, 200, 100, 0, 100, 200] * 2 + [300, 200, 100, 0], STEADY, id="it rises and falls evenly"),
        pytest.param([0, 300, 200, 100, 0, 300, 200, 100, 0, 300, 200, 100, 50], STEADY, id="a batch each 40 s"),
        pytest.param(
            [nan] * 6 + [0, 100, 200, 300, 250, 200, 150], catching_up(30.0), id="followed for a minute, then"
        ),
        pytest.param([nan] * 7 + [0, 100, 200, 300, 400, 500], FALLING, id="followed for a minute"),
        pytest.param([nan] * 8 + [0, 100, 200, 300, 400], UNKNOWN, id="followed for less than a minute"),
        pytest.param([nan] * 13, UNKNOWN, id="not followed"),
    ],
)
def test_trend_of_lags(behinds: list[float], expected: Velocity) -> None:
    (found,) = find_velocities([np.array(behinds, np.float64)])
    assert found.trend == expected.trend
    assert found.done_in == (None if expected.done_in is None else pytest.approx(expected.done_in, rel=0.05))


def test_each_row_has_a_trend_of_its_own() -> None:
    rows = [np.arange(13.0), np.full(13, nan), np.full(13, 7.0), np.arange(13.0, 0.0, -1.0)]
    assert find_velocities(rows) == [FALLING, UNKNOWN, STEADY, catching_up(10.0)]
    assert find_velocities([]) == []


@pytest.mark.parametrize(
    ("before", "seconds", "expected"),
    [
        pytest.param([300, 260, 220], 22.0, "catching up", id="not fresh yet"),
        pytest.param([300, 200, 100], 10.0, "catching up", id="fresh again, and not done"),
        pytest.param([150, 125, 100], 10.0, "steady", id="it was fresh all the time"),
        pytest.param([300, 150, 0], 0.0, "steady", id="done"),
        pytest.param([300, 200, 100], None, "catching up", id="unknown age"),
    ],
)
def test_group_that_was_late_catches_up_until_it_is_done(
    before: list[float], seconds: float | None, expected: str
) -> None:
    assert settle(catching_up(25.0), np.array(before), seconds).trend == expected
    assert settle(FALLING, np.array(before), seconds).trend in {"steady", "falling behind"}


@pytest.mark.parametrize(
    ("behind", "seconds", "expected"),
    [(0, 0.0, True), (0, None, True), (500, 19.9, True), (500, 20.0, False), (1, None, False)],
)
def test_group_with_nothing_old_keeps_up(behind: int, seconds: float | None, *, expected: bool) -> None:
    assert keeps_up(behind, seconds) is expected
