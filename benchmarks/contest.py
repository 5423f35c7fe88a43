"""What a benchmark is: contestants, and claims on how they compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

Figures = Mapping[str, float]
"""What each contestant measured in one round, by its name."""


@dataclass(frozen=True)
class Contestant:
    """A function of the benchmark's module that takes a count and returns one figure.

    `environ` is what its process is started with.
    """

    name: str
    function: str
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """A figure made of one round's figures, and the most that it should be, where we claim something of it."""

    text: str
    of: Callable[[Figures], float]
    target: float | None = None
    unit: str = ""


@contextmanager
def nothing() -> Iterator[Mapping[str, str]]:
    """Surroundings of a benchmark that needs none."""
    yield {}


@dataclass(frozen=True)
class Benchmark:
    """`title` may name the `{count}` that every contestant is given; `surroundings` stand while they run, and yield
    what to add to their environment.
    """

    title: str
    unit: str
    count: int
    contestants: tuple[Contestant, ...]
    claims: tuple[Claim, ...]
    surroundings: Callable[[], AbstractContextManager[Mapping[str, str]]] = nothing
