"""What is wrong with the agent at present, since when, and how often it happened: for `/api/health`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any

LINGER_SECONDS = 300.0
"""How long after it last happened a problem is shown, unless it is one that lasts until `clear`."""
WARNINGS = frozenset({"growth"})
"""Problems that are still to come: an agent that has no others is well."""
_SHOWN_UNTIL_CLEARED = {"store", "upkeep", "forward", "rules", "growth"}


@dataclass(frozen=True)
class Condition:
    """One problem: when it was first and last noted (seconds since the epoch), and how often."""

    problem: str
    since: float
    last: float
    count: int


class Conditions:
    """The problems at present, by name. Any thread may use it."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` returns seconds since the epoch."""
        self._now, self._lock = now, Lock()
        self._conditions: dict[str, Condition] = {}

    def note(self, name: str, problem: str, count: int = 1) -> None:
        """Record that a problem happened `count` times."""
        with self._lock:
            now, known = self._now(), self._conditions.get(name)
            if known is None or not self._is_present(name, known):
                known = Condition(problem, now, now, 0)
            self._conditions[name] = Condition(problem, known.since, now, known.count + count)

    def clear(self, name: str) -> None:
        """Record that a problem is over."""
        if name in self._conditions:
            with self._lock:
                self._conditions.pop(name, None)

    def present(self) -> list[dict[str, Any]]:
        """Return the problems at present as plain data, sorted by name."""
        with self._lock:
            return [
                {"name": name, **asdict(condition)}
                for name, condition in sorted(self._conditions.items())
                if self._is_present(name, condition)
            ]

    def _is_present(self, name: str, condition: Condition) -> bool:
        return name in _SHOWN_UNTIL_CLEARED or self._now() - condition.last < LINGER_SECONDS
