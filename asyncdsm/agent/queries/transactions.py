"""Where business transactions are: the checkpoints that one has passed, the latest ones, and those that are late.

A transaction is *late* if it waits more than three times as long, and more than a minute, where 95 % of the others that
passed the same checkpoint had gone on; it is *stuck* if it waits ten times as long as that. A checkpoint at which at
least half of the transactions end is an end: what has arrived there is *done*. All else is *open*, also where fewer
than ten others are known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

from asyncdsm.agent.queries.answers import Transaction, Transactions, TransactionState, TransactionStep
from asyncdsm.agent.store.protocol import Store, TransactionReader
from asyncdsm.agent.store.transaction_reader import PlaceSample, SeenTransaction, Step
from asyncdsm.agent.store.transactions import Place
from asyncdsm.core.transactions import to_wire_bytes

MOST_TRANSACTIONS = 100
"""How many transactions each list of an answer has."""
LATE_FACTOR, STUCK_FACTOR = 3, 10
LEAST_LATE_SECONDS = 60.0
LEAST_KNOWN = 10
_SECOND_NS = 1_000_000_000


class PlaceRule(NamedTuple):
    """What is usual at a place: whether transactions end there, or after how many seconds one there is late."""

    is_end: bool = False
    late_after: float | None = None


def find_transactions(store: Store, transaction_id: str | None) -> Transactions:
    """Return the transaction with an id and its steps, if it is known; without an id the latest, and the late ones."""
    with store.read_transactions() as reader:
        if transaction_id is None:
            return _Answers(reader, store.now()).list_all()
        found = reader.find(to_wire_bytes(transaction_id).decode("utf-8", "replace"))
        if found is None:
            return Transactions(transactions=[], late=[])
        return Transactions(transactions=[_Answers(reader, store.now()).describe(found, with_steps=True)], late=[])


def place_rules(sample: Mapping[int, PlaceSample]) -> dict[int, PlaceRule]:
    """Return what is usual at each place, from a sample of the transactions that were seen last at each of them.

    A sampled transaction stands for as many as were seen last at its place.
    """
    waits, went_on = defaultdict[int, list[float]](list), defaultdict[int, float](float)
    for ended, chains in sample.values():
        for chain in chains:
            for (passed, place), (following, _) in pairwise(chain):
                waits[place].append((following - passed) / _SECOND_NS)
                went_on[place] += ended / len(chains)
    return {
        place: _make_rule(waits[place], went_on[place], sample[place].ended if place in sample else 0)
        for place in {*sample, *waits}
    }


def _make_rule(waits: list[float], went_on: float, ended: int) -> PlaceRule:
    if ended >= went_on:
        return PlaceRule(is_end=ended >= LEAST_KNOWN)
    if len(waits) < LEAST_KNOWN:
        return PlaceRule()
    p95 = sorted(waits)[len(waits) * 95 // 100]
    return PlaceRule(late_after=max(LEAST_LATE_SECONDS, LATE_FACTOR * p95))


class _Answers:
    """Describes transactions of one moment."""

    def __init__(self, reader: TransactionReader, now: float) -> None:
        self._reader, self._now = reader, now
        self._places = reader.places()
        self._rules = place_rules(reader.sample())

    def list_all(self) -> Transactions:
        """Return the latest transactions, and those that are late."""
        latest, late, cut = self._reader.latest(MOST_TRANSACTIONS), list[SeenTransaction](), dict[str, int]()
        late_count = 0
        for place, rule in self._rules.items():
            if rule.late_after is not None:
                before = int((self._now - rule.late_after) * _SECOND_NS)
                late += self._reader.waiting(place, before, MOST_TRANSACTIONS)
                late_count += self._reader.count_waiting(place, before)
        late = sorted(late, key=lambda each: -each.last)[:MOST_TRANSACTIONS]
        counts = {"transactions": self._reader.count() - len(latest), "late": late_count - len(late)}
        cut = {name: count for name, count in counts.items() if count > 0}
        return Transactions(transactions=list(map(self.describe, latest)), late=list(map(self.describe, late)), cut=cut)

    def describe(self, seen: SeenTransaction, *, with_steps: bool = False) -> Transaction:
        """Return what is known of a transaction."""
        place, rule = self._places[seen.place], self._rules.get(seen.place, PlaceRule())
        waits = max(0.0, self._now - seen.last / _SECOND_NS)
        return Transaction(
            id=seen.id,
            state=_state_of(rule, waits),
            service=place.service,
            env=place.env,
            checkpoint=place.checkpoint,
            first=seen.first / _SECOND_NS,
            last=seen.last / _SECOND_NS,
            late_after=rule.late_after,
            steps=_describe_steps(self._reader, self._places, seen.key) if with_steps else [],
        )


def _state_of(rule: PlaceRule, waits: float) -> TransactionState:
    if rule.is_end:
        return "done"
    if rule.late_after is None or waits <= rule.late_after:
        return "open"
    return "stuck" if waits > STUCK_FACTOR * rule.late_after else "late"


def _describe_steps(reader: TransactionReader, places: Mapping[int, Place], key: int) -> list[TransactionStep]:
    steps = reader.steps(key)
    before = [None, *(step.time for step in steps)]
    return [_describe_step(step, places[step.place], time) for step, time in zip(steps, before, strict=False)]


def _describe_step(step: Step, place: Place, before: int | None) -> TransactionStep:
    """Describe a step; `before` is the time of the step before, in nanoseconds."""
    return TransactionStep(
        service=place.service,
        env=place.env,
        checkpoint=place.checkpoint,
        time=step.time / _SECOND_NS,
        since_before=None if before is None else (step.time - before) / _SECOND_NS,
    )
