"""Counting instructions: by the processor where the kernel lets it, by valgrind otherwise, or not at all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.instructions import count_instructions, count_with_perf, count_with_valgrind, find_counter

# Every process starts alike: with the same hashes, and without what is installed.
PYTHON = [sys.executable, "-S", "-c"]
ENVIRON = {**os.environ, "PYTHONHASHSEED": "0"}
MISSING = "apt-get install linux-perf valgrind"
EVENT = "page-faults:u"
"""An event that the kernel counts by itself, unlike those of the processor."""


@pytest.fixture(autouse=True)
def forget_counter() -> None:
    """Look again which counter there is."""
    find_counter.cache_clear()


def permits(event: str) -> bool:
    """Return whether perf, asked as a person asks it, shows a number. A container is often not permitted any."""
    shown = subprocess.run(["perf", "stat", "-e", event, "true"], capture_output=True, text=True, check=False).stderr
    return re.search(rf"^ +[\d,]+ +{event}", shown, re.MULTILINE) is not None


def loop(turns: int) -> list[str]:
    return [*PYTHON, f"for turn in range({turns}): pass"]


def test_valgrind_counts_as_much_more_for_each_piece_of_work() -> None:
    once, twice, thrice = (count_with_valgrind(loop(turns), ENVIRON) for turns in (50_000, 100_000, 150_000))
    assert once is not None, MISSING
    assert twice is not None
    assert thrice is not None
    assert twice - once > 50_000
    assert thrice - twice == pytest.approx(twice - once, rel=0.01)


def test_perf_counts_more_page_faults_of_a_program_that_takes_more_memory() -> None:
    few, many = (count_with_perf([*PYTHON, f"b'x' * {size}"], ENVIRON, EVENT) for size in (1, 1 << 26))
    if permits(EVENT):
        assert few is not None, MISSING
        assert many is not None
        assert many > few > 0
    else:
        assert (few, many) == (None, None)


@pytest.mark.parametrize("event", [EVENT, "instructions:u", "no-such-event:u"])
def test_event_is_counted_where_perf_shows_it_and_not_available_elsewhere(event: str) -> None:
    assert (count_with_perf(["true"], os.environ, event) is not None) == permits(event)


def test_processor_is_asked_before_valgrind() -> None:
    by_processor = count_with_perf(["true"], os.environ)
    assert find_counter() == ("valgrind" if by_processor is None else "perf")


def test_instructions_are_counted_by_what_was_found() -> None:
    assert count_instructions(["true"], os.environ) > 10_000, MISSING


def test_machine_without_tools_counts_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_counter() is None
    with pytest.raises(RuntimeError, match="install valgrind"):
        count_instructions(PYTHON, ENVIRON)


def test_command_that_fails_under_valgrind_says_why() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        count_with_valgrind([*PYTHON, "1 / 0"], ENVIRON)


def test_command_that_fails_under_perf_says_why() -> None:
    failing = [*PYTHON, "1 / 0"]
    if permits(EVENT):
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            count_with_perf(failing, ENVIRON, EVENT)
    else:
        assert count_with_perf(failing, ENVIRON, EVENT) is None
