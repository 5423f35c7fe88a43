"""What is usual at a checkpoint of business transactions: whether they end there, or how long they take to go on.

What has passed a complete set of checkpoints (`complete_sets`) is done, wherever it was seen last. Of all others, those
are done that were seen last at an end (`going_on`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from asyncdsm.agent.queries.complete_sets import find_complete_sets
from asyncdsm.agent.queries.going_on import ALWAYS, LEAST_KNOWN, GoingOn
from asyncdsm.agent.queries.passages import PlaceSet, list_passages, places_of
from asyncdsm.agent.store.protocol import TransactionReader
from asyncdsm.agent.store.transaction_reader import PlaceSample

LATE_FACTOR = 3
LEAST_LATE_SECONDS = 60.0


class PlaceRule(NamedTuple):
    """What is usual at a place.

    Transactions that were seen last there before the time `done_before` (nanoseconds) are done. So are those that have
    passed just the places of a set in `complete`, and were seen last before its time. Of those that went
    on, 95 % took at most `usual_wait` seconds, None if that is not known.
    """

    done_before: int = 0
    usual_wait: float | None = None
    complete: Mapping[PlaceSet, int] = {}

    @property
    def late_after(self) -> float | None:
        """After how many seconds one is late, None if that is not known."""
        return None if self.usual_wait is None else max(LEAST_LATE_SECONDS, LATE_FACTOR * self.usual_wait)


class PlaceRules:
    """Finds the rules of places, from a sample of the transactions that were seen last at each of them."""

    def __init__(self, reader: TransactionReader, settled_before: int) -> None:
        """Judge by transactions that were seen last before a time: of later ones, not all may have been reported."""
        self._reader, self._sample = reader, reader.sample(settled_before)
        self._complete = find_complete_sets(reader, self._sample)
        self._going_on = _find_going_on(self._sample, self._complete)
        self._known: dict[int, PlaceRule] = {}

    def __iter__(self) -> Iterator[int]:
        """Yield the places of which anything is known."""
        return iter({*self._sample, *self._going_on})

    def rule_of(self, place: int) -> PlaceRule:
        """Return the rule of a place."""
        if place not in self._known:
            self._known[place] = self._find(place)
        return self._known[place]

    def lacking(self, passed: PlaceSet) -> PlaceSet:
        """Return the places that all larger complete sets have, and this set lacks."""
        larger = [each for each, done_before in self._complete.items() if done_before == ALWAYS and passed < each]
        return frozenset.intersection(*larger) - passed if larger else PlaceSet()

    def _find(self, place: int) -> PlaceRule:
        sample = self._sample.get(place, PlaceSample(0, [], []))
        complete = {passed: before for passed, before in self._complete.items() if place in passed}
        if place not in self._going_on:
            return PlaceRule(ALWAYS if sample.ended >= LEAST_KNOWN else 0, complete=complete)

        def count_waiting(since: int, before: int) -> int:
            return self._reader.count_waiting(place, since, before, complete)

        going_on = self._going_on[place]
        done_before = going_on.find_end(_count_incomplete(sample, complete), count_waiting)
        if done_before is not None:
            return PlaceRule(done_before, complete=complete)
        return PlaceRule(going_on.find_former_end(count_waiting), going_on.usual_wait(), complete)


def _find_going_on(sample: Mapping[int, PlaceSample], complete: Mapping[PlaceSet, int]) -> dict[int, GoingOn]:
    """Return what went on from each place, but had not passed a complete set by then."""
    found = defaultdict[int, GoingOn](GoingOn)
    for passed, before, following, weight in list_passages(sample):
        if before.time >= complete.get(passed, 0):
            found[before.place].add(before.time, following.time, weight)
    return dict(found)


def _count_incomplete(sample: PlaceSample, complete: Mapping[PlaceSet, int]) -> float:
    """Return how many (estimated) of those that were seen last at a place have not passed a complete set."""
    incomplete = sum(chain[-1].time >= complete.get(places_of(chain), 0) for chain in sample.latest)
    return sample.ended * incomplete / len(sample.latest) if sample.latest else 0
