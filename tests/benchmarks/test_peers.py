"""The benchmark `peers`: every contestant runs, in a process of its own, on the core that it is named for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from benchmarks.contest import Contestant
from benchmarks.peers import BENCHMARK, EMPTY
from benchmarks.rounds import figures_of
from benchmarks.sink import sink

FEW = 20


@pytest.fixture(scope="module")
def surroundings() -> Iterator[Mapping[str, str]]:
    """An agent that answers."""
    with sink() as environ:
        yield environ


@pytest.fixture(scope="module")
def empty_call(surroundings: Mapping[str, str]) -> float:
    """What calling a function takes that does nothing."""
    contestant = next(each for each in BENCHMARK.contestants if each.name == EMPTY)
    return figures_of("peers", contestant, FEW, surroundings)[EMPTY]


@pytest.mark.parametrize("contestant", BENCHMARK.contestants[1:], ids=lambda each: each.name)
def test_contestant_does_more_than_an_empty_call(
    contestant: Contestant, surroundings: Mapping[str, str], empty_call: float
) -> None:
    assert figures_of("peers", contestant, FEW, surroundings)[contestant.name] > empty_call > 0
