"""Which sets of checkpoints lack one that was not reported: transactions seem to have passed no more than those.

Services report one after the other, and one that is in trouble reports late or never. What passed it meanwhile has a
set that contains all but its checkpoints, and from which none ever went on. An alternative that leaves a checkpoint out
looks the same, but others that have passed the checkpoint, too, come at the same time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from asyncdsm.agent.queries.passages import PlaceSet, list_chains, passages_of, places_of
from asyncdsm.agent.store.protocol import TransactionReader
from asyncdsm.agent.store.transaction_reader import PlaceSample

MOST_LATEST, LEAST_SHARE, MOST_LARGER = 25, 0.25, 5
"""Of the latest transactions of a set, how many are looked at; how many others must come meanwhile for each of them;
of how many larger sets these may be."""


class LackingSets:
    """Knows of each set when one of it was seen last, and which larger ones others have passed, by which ways."""

    def __init__(self, reader: TransactionReader, sample: Mapping[int, PlaceSample]) -> None:
        self._reader = reader
        self._last = defaultdict[PlaceSet, int](int)
        self._ways = defaultdict[PlaceSet, list[tuple[float, set[PlaceSet]]]](list)
        for weight, chain in list_chains(sample):
            if weight:
                passed = places_of(chain)
                self._last[passed] = max(self._last[passed], chain[-1].time)
                self._ways[passed].append((weight, {passage.passed for passage in passages_of(chain, weight)}))

    def is_lacking(self, passed: PlaceSet, ended: float) -> bool:
        """Return whether a set lacks a checkpoint. `ended` transactions (estimated) have passed just this set."""
        larger = self._find_larger(passed)
        if ended >= sum(larger.values()):
            return False
        last = self._reader.last_passed(passed, self._last[passed] + 1, MOST_LATEST)
        if not last:  # the last one has just passed another checkpoint
            return True
        most_common = sorted(larger, key=lambda each: -larger[each])[:MOST_LARGER]
        meanwhile = sum(self._reader.count_passed(each, last[-1], last[0]) for each in most_common)
        return meanwhile < LEAST_SHARE * len(last)

    def _find_larger(self, passed: PlaceSet) -> dict[PlaceSet, float]:
        """Return how many transactions (estimated) have passed more, but never just this set, by what they passed."""
        counts = {
            each: sum(weight for weight, before in ways if passed not in before)
            for each, ways in self._ways.items()
            if passed < each
        }
        return {each: count for each, count in counts.items() if count}
