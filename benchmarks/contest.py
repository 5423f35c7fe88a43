"""What a benchmark is: contestants, and claims on how they compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

Figures = Mapping[str, float]
"""What the contestants measured in one round, by the names of their figures."""


@dataclass(frozen=True)
class Contestant:
    """A function of the benchmark's module that takes a count and returns one figure, or one for each of its `parts`.

    `environ` is what its process is started with; `count` replaces the benchmark's, and is not cut for `--quick`.
    """

    name: str
    function: str
    environ: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    count: int | None = None

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of what it measures: its own, or "part: name"."""
        return tuple(f"{part}: {self.name}" for part in self.parts) or (self.name,)


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
    what to add to their environment. `most_rounds` are enough of them, where a round takes long. `operations` is how
    many each contestant makes for each of its count, where their instructions are to be counted too.
    """

    title: str
    unit: str
    count: int
    contestants: tuple[Contestant, ...]
    claims: tuple[Claim, ...]
    surroundings: Callable[[], AbstractContextManager[Mapping[str, str]]] = nothing
    most_rounds: int | None = None
    operations: int | None = None
