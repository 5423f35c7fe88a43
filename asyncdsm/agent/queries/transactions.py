"""Where business transactions are: the checkpoints that one has passed, the latest ones, and those that are late.

A transaction is *late* if it waits more than three times as long, and more than a minute, where 95 % of the others that
passed the same checkpoint had gone on; it is *stuck* if it waits ten times as long as that. It is *done* if it has
arrived at an end, or has passed all that there is to pass (`place_rules`). All else is *open*, also where fewer than
ten others are known. What is usual follows from transactions that were seen last more than a minute ago: of later ones,
some services may not have reported yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from asyncdsm.agent.queries.answers import (
    Transaction,
    TransactionPlace,
    Transactions,
    TransactionState,
    TransactionStep,
)
from asyncdsm.agent.queries.passages import PlaceSet, places_of
from asyncdsm.agent.queries.place_rules import LEAST_LATE_SECONDS, PlaceRule, PlaceRules
from asyncdsm.agent.store.protocol import Store, TransactionReader
from asyncdsm.agent.store.transaction_reader import SeenTransaction, Step
from asyncdsm.agent.store.transactions import Place
from asyncdsm.core.transactions import to_wire_bytes

MOST_TRANSACTIONS = 100
"""How many transactions each list of an answer has."""
MOST_LONGEST = 8
"""How many of those that wait longest an answer has."""
STUCK_FACTOR = 10
_SECOND_NS = 1_000_000_000


def find_transactions(store: Store, transaction_id: str | None) -> Transactions:
    """Return the transaction with an id and its steps, if it is known; without an id the latest, and the late ones."""
    with store.read_transactions() as reader:
        if transaction_id is None:
            return _Answers(reader, store.now()).list_all()
        found = reader.find(to_wire_bytes(transaction_id).decode("utf-8", "replace"))
        if found is None:
            return Transactions(transactions=[], late=[])
        return Transactions(transactions=[_Answers(reader, store.now()).describe_one(found)], late=[])


class _Answers:
    """Describes transactions of one moment."""

    def __init__(self, reader: TransactionReader, now: float) -> None:
        self._reader, self._now = reader, now
        self._places = reader.places()
        self._rules = PlaceRules(reader, round((now - LEAST_LATE_SECONDS) * _SECOND_NS))

    def list_all(self) -> Transactions:
        """Return the latest transactions, and those that are late."""
        waiting = list(self._list_waiting())
        late_count = sum(self._reader.count_waiting(*each) for each in waiting)
        latest, late = self._reader.latest(MOST_TRANSACTIONS), self._find_late(waiting, MOST_TRANSACTIONS)
        longest = late[::-1][:MOST_LONGEST]
        if late_count > len(late):
            longest = self._find_late(waiting, MOST_LONGEST, oldest_first=True)
        counts = {"transactions": self._reader.count() - len(latest), "late": late_count - len(late)}
        cut = {name: count for name, count in counts.items() if count > 0}
        passed = self._reader.places_passed([each.key for each in (*latest, *late, *longest)])
        described = [[self._describe(each, passed[each.key]) for each in listed] for listed in (latest, late, longest)]
        return Transactions(transactions=described[0], late=described[1], longest=described[2], cut=cut)

    def _list_waiting(self) -> Iterator[tuple[int, int, int, Mapping[PlaceSet, int]]]:
        """Yield, of each place, what the reader needs to find those that are late there."""
        for place in self._rules:
            rule = self._rules.rule_of(place)
            if rule.late_after is not None:
                yield place, rule.done_before, int((self._now - rule.late_after) * _SECOND_NS), rule.complete

    def _find_late(
        self,
        waiting: Iterable[tuple[int, int, int, Mapping[PlaceSet, int]]],
        most: int,
        *,
        oldest_first: bool = False,
    ) -> list[SeenTransaction]:
        found = [seen for each in waiting for seen in self._reader.waiting(*each, most, oldest_first=oldest_first)]
        return sorted(found, key=lambda each: each.last, reverse=not oldest_first)[:most]

    def describe_one(self, seen: SeenTransaction) -> Transaction:
        """Return what is known of a transaction, with its steps."""
        steps = self._reader.steps(seen.key)
        return self._describe(seen, places_of(steps), _describe_steps(steps, self._places))

    def _describe(self, seen: SeenTransaction, passed: PlaceSet, steps: Iterable[TransactionStep] = ()) -> Transaction:
        place, rule = self._places[seen.place], self._rules.rule_of(seen.place)
        is_done = seen.last < max(rule.done_before, rule.complete.get(passed, 0))
        state = "done" if is_done else _state_of(rule, self._now - seen.last / _SECOND_NS)
        lacking = self._rules.lacking(passed) if state in {"late", "stuck"} else ()
        return Transaction(
            id=seen.id,
            state=state,
            service=place.service,
            env=place.env,
            checkpoint=place.checkpoint,
            first=seen.first / _SECOND_NS,
            last=seen.last / _SECOND_NS,
            usual_wait=None if is_done else rule.usual_wait,
            late_after=None if is_done else rule.late_after,
            lacks=[TransactionPlace(**self._places[each]._asdict()) for each in sorted(lacking)],
            steps=list(steps),
        )


def _state_of(rule: PlaceRule, waits: float) -> TransactionState:
    if rule.late_after is None or waits <= rule.late_after:
        return "open"
    return "stuck" if waits > STUCK_FACTOR * rule.late_after else "late"


def _describe_steps(steps: list[Step], places: Mapping[int, Place]) -> list[TransactionStep]:
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
