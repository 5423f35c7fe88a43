"""Whether business transactions end somewhere, or went on from there: at a checkpoint, or with a set of checkpoints.

They end there if at least half of them do. But if the service behind is down, they only wait: so it is no end if of any
stretch of successive transactions, old or new, more than two thirds went on. Before the first one went on, at least ten
may have ended there: then it was an end until then, and these are done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

LEAST_KNOWN = 10
LONGEST_STRETCH, MOST_JUDGED = 25, 50
"""How many transactions that went on make a stretch, and how many of the latest and of the oldest are looked at."""
_SECOND_NS = 1_000_000_000
ALWAYS = (1 << 63) - 1
"""The end of all times that the store can have, in nanoseconds."""

CountWaiting = Callable[[int, int], int]
"""Returns how many transactions that were seen last in [since, before), in nanoseconds, have not gone on."""


class GoingOn:
    """Transactions that went on: how many (estimated), when they were seen last before that, and how long they took."""

    def __init__(self) -> None:
        self.count: float = 0.0
        self.passed: list[int] = []
        self._waits: list[float] = []
        self._former_waits: list[float] = []

    def add(self, before_ns: int, following_ns: int, weight: float) -> None:
        """Add a transaction that stands for `weight` ones; one of 0 is older, and stands only for itself."""
        self.passed.append(before_ns)
        self.count += weight
        (self._waits if weight else self._former_waits).append((following_ns - before_ns) / _SECOND_NS)

    def find_end(self, ended: float, count_waiting: CountWaiting) -> int | None:
        """Return before which time (nanoseconds) those that were seen last there are done; None if it is no end now."""
        if ended >= self.count and not self._did_go_on(ended, count_waiting):
            return ALWAYS if ended >= LEAST_KNOWN else 0
        return None

    def find_former_end(self, count_waiting: CountWaiting) -> int:
        """Return until when it was an end, 0 if it never was one. At least one must have gone on."""
        first = min(self.passed)
        return first if count_waiting(0, first) >= LEAST_KNOWN else 0

    def usual_wait(self) -> float | None:
        """Return within how many seconds 95 % went on, None if not known. Older ones count if few others did."""
        waits = self._waits if len(self._waits) >= LEAST_KNOWN else [*self._waits, *self._former_waits]
        return sorted(waits)[len(waits) * 95 // 100] if len(waits) >= LEAST_KNOWN else None

    def _did_go_on(self, ended: float, count_waiting: CountWaiting) -> bool:
        """Return whether transactions usually went on, although most have not by now."""
        if not self.passed:
            return False
        if len(self.passed) < LEAST_KNOWN:
            return count_waiting(0, max(self.passed) + 1) < self.count and ended < LEAST_KNOWN * self.count
        return any(2 * count_waiting(stretch[0], stretch[-1] + 1) < len(stretch) for stretch in self._stretches())

    def _stretches(self) -> Iterator[list[int]]:
        """Yield when the transactions of stretches passed, of the latest ones first; shorter ones if few are known."""
        passed = sorted(self.passed)
        length = min(LONGEST_STRETCH, max(LEAST_KNOWN, len(passed) // 2))
        latest, oldest, step = passed[-MOST_JUDGED:], passed[:MOST_JUDGED], length // 2
        yield from (latest[end - length : end] for end in range(len(latest), length - 1, -step))
        yield from (oldest[first : first + length] for first in range(0, len(oldest) - length + 1, step))
