"""Which sets of checkpoints are complete: business transactions that have passed just these usually end.

In which order they were passed does not matter, nor how often: branches in parallel end at one checkpoint or another.
Of alternatives, each has its own set. A set that lacks only what was not reported is none (`lacking_sets`). One of
which few transactions are known is complete if it contains a complete one, and no transaction went on from it to
another checkpoint.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import partial

from asyncdsm.agent.queries.going_on import ALWAYS, LEAST_KNOWN, CountWaiting, GoingOn
from asyncdsm.agent.queries.lacking_sets import LackingSets
from asyncdsm.agent.queries.passages import PlaceSet, list_passages, places_of
from asyncdsm.agent.store.protocol import TransactionReader
from asyncdsm.agent.store.transaction_reader import PlaceSample

MOST_SETS = 200
"""How many sets are looked at: those that most transactions have passed."""


def find_complete_sets(reader: TransactionReader, sample: Mapping[int, PlaceSample]) -> dict[PlaceSet, int]:
    """Return the complete sets, and before which time (nanoseconds) those that were seen last with them are done."""
    going_on, ended = defaultdict[PlaceSet, GoingOn](GoingOn), _count_ended(sample)
    for passed, before, following, weight in list_passages(sample):
        going_on[passed].add(before.time, following.time, weight)
    common = sorted(ended, key=lambda passed: -ended[passed])[:MOST_SETS]
    known = [passed for passed in common if ended[passed] >= LEAST_KNOWN]
    ends = {
        passed: _find_end(going_on.get(passed), ended[passed], partial(reader.count_passed, passed)) for passed in known
    }
    lacking = LackingSets(reader, sample)
    complete = {
        passed: done_before
        for passed, done_before in ends.items()
        if done_before and not lacking.is_lacking(passed, ended[passed])
    }
    rare = [passed for passed in common if passed not in ends and passed not in going_on]
    return complete | {passed: ALWAYS for passed in rare if any(each < passed for each in complete)}


def _find_end(going_on: GoingOn | None, ended: float, count_waiting: CountWaiting) -> int:
    if going_on is None:
        return ALWAYS
    done_before = going_on.find_end(ended, count_waiting)
    return going_on.find_former_end(count_waiting) if done_before is None else done_before


def _count_ended(sample: Mapping[int, PlaceSample]) -> dict[PlaceSet, float]:
    """Return how many transactions (estimated) have passed just these places, by the set of places."""
    ended = defaultdict[PlaceSet, float](float)
    for count, latest, _ in sample.values():
        for chain in latest:
            ended[places_of(chain)] += count / len(latest)
    return ended
