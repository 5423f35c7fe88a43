"""What is usual at a checkpoint of business transactions: whether they end there, or how long they take to go on.

A checkpoint is an end if at least half of the transactions end there. But if the service behind it is down, they only
wait: so it is none if of any stretch of successive transactions, old or new, more than two thirds went on. Before the
first one went on, at least ten may have ended there: then it was an end until then, and these are done.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from asyncdsm.agent.store.protocol import TransactionReader
from asyncdsm.agent.store.transaction_reader import PlaceSample

LATE_FACTOR = 3
LEAST_LATE_SECONDS = 60.0
LEAST_KNOWN = 10
LONGEST_STRETCH, MOST_JUDGED = 25, 50
"""How many transactions that went on make a stretch, and how many of the latest and of the oldest are looked at."""
_SECOND_NS = 1_000_000_000
ALWAYS = (1 << 63) - 1
"""The end of all times that the store can have, in nanoseconds."""


class PlaceRule(NamedTuple):
    """What is usual at a place.

    Transactions that were seen last there before the time `done_before` (nanoseconds) are done; others are late after
    `late_after` seconds, None if that is not known.
    """

    done_before: int = 0
    late_after: float | None = None


class _GoingOn:
    """Transactions that went on from a place: how many (estimated), when they passed it, and how long they took."""

    def __init__(self) -> None:
        self.count, self.passed, self.waits = 0.0, list[int](), list[float]()

    def stretches(self) -> Iterator[list[int]]:
        """Yield when the transactions of stretches passed, of the latest ones first; shorter ones if few are known."""
        passed = sorted(self.passed)
        length = min(LONGEST_STRETCH, max(LEAST_KNOWN, len(passed) // 2))
        latest, oldest, step = passed[-MOST_JUDGED:], passed[:MOST_JUDGED], length // 2
        yield from (latest[end - length : end] for end in range(len(latest), length - 1, -step))
        yield from (oldest[first : first + length] for first in range(0, len(oldest) - length + 1, step))


class PlaceRules:
    """Finds the rules of places, from a sample of the transactions that were seen last at each of them."""

    def __init__(self, reader: TransactionReader) -> None:
        self._reader, self._sample = reader, reader.sample()
        self._going_on = _find_going_on(self._sample.values())
        self._known: dict[int, PlaceRule] = {}

    def __iter__(self) -> Iterator[int]:
        """Yield the places of which anything is known."""
        return iter({*self._sample, *self._going_on})

    def rule_of(self, place: int) -> PlaceRule:
        """Return the rule of a place."""
        if place not in self._known:
            self._known[place] = self._find(place)
        return self._known[place]

    def _find(self, place: int) -> PlaceRule:
        ended = self._sample[place].ended if place in self._sample else 0
        going_on = self._going_on.get(place, _GoingOn())
        if ended >= going_on.count and not self._did_go_on(place, ended, going_on):
            return PlaceRule(done_before=ALWAYS if ended >= LEAST_KNOWN else 0)
        first = min(going_on.passed)
        was_end = self._reader.count_waiting(place, 0, first) >= LEAST_KNOWN
        return PlaceRule(first if was_end else 0, _late_after(going_on.waits))

    def _did_go_on(self, place: int, ended: int, going_on: _GoingOn) -> bool:
        """Return whether transactions usually went on, although most have not by now."""
        if not going_on.passed:
            return False
        if len(going_on.passed) < LEAST_KNOWN:
            until = self._reader.count_waiting(place, 0, max(going_on.passed) + 1)
            return until < going_on.count and ended < LEAST_KNOWN * going_on.count
        return any(
            2 * self._reader.count_waiting(place, stretch[0], stretch[-1] + 1) < len(stretch)
            for stretch in going_on.stretches()
        )


def _find_going_on(samples: Iterable[PlaceSample]) -> dict[int, _GoingOn]:
    """Return what went on from each place. A sampled transaction stands for as many as were seen last at its place."""
    found = defaultdict[int, _GoingOn](_GoingOn)
    for ended, latest, oldest in samples:
        for is_latest, chain in [*((True, chain) for chain in latest), *((False, chain) for chain in oldest)]:
            for (passed, place), (following, _) in pairwise(chain):
                found[place].passed.append(passed)
                if is_latest:
                    found[place].count += ended / len(latest)
                    found[place].waits.append((following - passed) / _SECOND_NS)
    return dict(found)


def _late_after(waits: list[float]) -> float | None:
    if len(waits) < LEAST_KNOWN:
        return None
    p95 = sorted(waits)[len(waits) * 95 // 100]
    return max(LEAST_LATE_SECONDS, LATE_FACTOR * p95)
