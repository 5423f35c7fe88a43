"""What is wrong with the agent at present, since when, and how often it happened: for `/api/health`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any

LINGER_SECONDS = 300.0
# How long something that happened is shown, where nothing says that it is over.
_UNTIL_CLEARED = {"store", "upkeep", "forward"}


@dataclass(frozen=True)
class Condition:
    """One thing that is wrong. Times are seconds since the epoch."""

    problem: str
    since: float
    last: float
    count: int


class Conditions:
    """What is wrong, by name. Any thread may use it."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._lock = now, Lock()
        self._conditions: dict[str, Condition] = {}

    def note(self, name: str, problem: str, count: int = 1) -> None:
        """Note that something went wrong, `count` times."""
        with self._lock:
            now, known = self._now(), self._conditions.get(name)
            if known is None or not self._is_present(name, known):
                known = Condition(problem, now, now, 0)
            self._conditions[name] = Condition(problem, known.since, now, known.count + count)

    def clear(self, name: str) -> None:
        """Note that something works again."""
        if name in self._conditions:
            with self._lock:
                self._conditions.pop(name, None)

    def present(self) -> list[dict[str, Any]]:
        """Return what is wrong now, as plain data, in order of names."""
        with self._lock:
            return [
                {"name": name, **asdict(condition)}
                for name, condition in sorted(self._conditions.items())
                if self._is_present(name, condition)
            ]

    def _is_present(self, name: str, condition: Condition) -> bool:
        return name in _UNTIL_CLEARED or self._now() - condition.last < LINGER_SECONDS
