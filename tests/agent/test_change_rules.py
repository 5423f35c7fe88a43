"""The rules for changes, by tables: what counts, what is noise, and since when."""

from __future__ import annotations

import numpy as np
import pytest

from asyncdsm.agent.queries.change_rules import (
    VersionChange,
    find_rate_change,
    find_silence,
    find_version_changes,
)
from asyncdsm.agent.store.versions import VersionRun

STEADY = [600.0] * 30
BATCHES = [0.0, 0.0, 0.0, 900.0] * 8


@pytest.mark.parametrize(
    ("counts", "kind", "slot"),
    [
        ([], None, None),
        ([600.0], None, None),
        (STEADY, None, None),
        ([*STEADY, 0.0], None, None),  # one slot is not enough
        ([*STEADY, 0.0, 0.0], "rate fell", 30),
        ([*STEADY, 250.0, 280.0, 290.0], "rate fell", 30),
        ([*STEADY, 310.0, 320.0], None, None),  # less than a factor of two
        ([*STEADY, 1300.0, 1250.0], "rate rose", 30),
        ([*STEADY, 1100.0, 1150.0], None, None),
        ([*STEADY, 0.0, 600.0, 600.0], None, None),  # an outlier
        ([*STEADY, 100.0, 600.0, 100.0, 100.0], "rate fell", 30),  # an outlier within the change
        ([*STEADY, *[100.0] * 20], "rate fell", 30),
        ([*[100.0] * 10, *STEADY, 100.0, 100.0], None, None),  # it was like that before
        ([600.0] * 4 + [0.0, 0.0], None, None),  # nobody knows what is usual
        ([600.0] * 5 + [0.0, 0.0], "rate fell", 5),
        (BATCHES, None, None),
        ([*BATCHES, 0.0, 0.0], None, None),
        ([*BATCHES, 900.0, 900.0], None, None),
        ([*[0.0] * 10, 40.0, 40.0], "rate rose", 10),
        ([*[0.0] * 10, 3.0, 3.0], None, None),  # too few to say
        ([4.0, 6.0, 5.0, 5.0, 4.0, 6.0, 0.0, 0.0], None, None),  # so does chance
        ([300.0 + 20 * slot for slot in range(40)], None, None),  # it grows slowly
    ],
)
def test_rate_changes_by_a_factor_of_two_for_two_slots(counts: list[float], kind: str | None, slot: int | None) -> None:
    change = find_rate_change(counts)
    assert (change and change.kind, change and change.slot) == (kind, slot)


def test_rate_change_has_the_medians_before_and_now() -> None:
    change = find_rate_change([600.0, 580.0, 620.0, 600.0, 610.0, 100.0, 120.0, 110.0])
    assert change is not None
    assert (change.before, change.now) == (600.0, 110.0)


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_rate_that_changes_slowly_has_changed_since_it_left_what_was_usual(factor: float) -> None:
    climb = [600.0 * factor**slot for slot in range(1, 31)]
    found = [find_rate_change([*STEADY, *climb[:length]]) for length in range(12, 31)]
    assert {(change.slot, change.before) for change in found if change} == {(30, 600.0)}
    assert None not in found


@pytest.mark.parametrize("expected", [0.3, 3, 30, 300])
def test_rate_of_random_messages_never_changes(expected: float) -> None:
    """A rule that is wrong once in a thousand edges would show a change all the time."""
    for counts in np.random.default_rng(7).poisson(expected, (1_000, 60)).astype(float).tolist():
        assert find_rate_change(counts) is None, counts


MINUTES = [60 * minute for minute in range(60)]


@pytest.mark.parametrize(
    ("starts", "settled_at", "since"),
    [
        (MINUTES, 3600, None),
        (MINUTES, 3650, None),
        (MINUTES, 3660, 3600),
        (MINUTES, 9000, 3600),
        ([], 3600, None),
        ([0, 60], 3600, None),  # it has no habit yet
        ([0, 60, 120], 3600, 180),
        ([0, 600, 1200, 1800], 2_800, None),  # every ten minutes: nine minutes are its usual silence
        ([0, 600, 1200, 1800], 3_480, 1_860),
        ([*MINUTES[:10], *MINUTES[30:40], *MINUTES[55:]], 5_000, None),  # it was silent for longer before, twice
        ([*MINUTES[:20], *MINUTES[40:]], 5_000, 3_600),  # once: it had failed
        ([*MINUTES[:20], *MINUTES[40:]], 3_650, None),
    ],
)
def test_service_is_quiet_if_it_is_silent_for_longer_than_before(
    starts: list[int], settled_at: int, since: int | None
) -> None:
    assert find_silence(starts, 60, settled_at) == since


def test_version_changes_have_the_version_before() -> None:
    runs = VersionRun("1.0", 100, 900), VersionRun("1.1", 500, 900), VersionRun("2.0", 800, 900)
    assert find_version_changes(runs, 0, 1000) == [VersionChange(500, "1.0", "1.1"), VersionChange(800, "1.1", "2.0")]
    assert find_version_changes(runs, 501, 800) == []
    assert find_version_changes(runs[:1], 0, 1000) == []
