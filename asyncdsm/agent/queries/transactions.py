"""Where business transactions are: the checkpoints that one has passed, the latest ones, and those that are late.

A transaction is *late* if it waits more than three times as long, and more than a minute, where 95 % of the others that
passed the same checkpoint had gone on; it is *stuck* if it waits ten times as long as that. What has arrived at a
checkpoint that is an end (`place_rules`) is *done*. All else is *open*, also where fewer than ten others are known.
"""

from __future__ import annotations

from collections.abc import Mapping

from asyncdsm.agent.queries.answers import Transaction, Transactions, TransactionState, TransactionStep
from asyncdsm.agent.queries.place_rules import PlaceRule, PlaceRules
from asyncdsm.agent.store.protocol import Store, TransactionReader
from asyncdsm.agent.store.transaction_reader import SeenTransaction, Step
from asyncdsm.agent.store.transactions import Place
from asyncdsm.core.transactions import to_wire_bytes

MOST_TRANSACTIONS = 100
"""How many transactions each list of an answer has."""
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
        return Transactions(transactions=[_Answers(reader, store.now()).describe(found, with_steps=True)], late=[])


class _Answers:
    """Describes transactions of one moment."""

    def __init__(self, reader: TransactionReader, now: float) -> None:
        self._reader, self._now = reader, now
        self._places = reader.places()
        self._rules = PlaceRules(reader)

    def list_all(self) -> Transactions:
        """Return the latest transactions, and those that are late."""
        latest, late, cut = self._reader.latest(MOST_TRANSACTIONS), list[SeenTransaction](), dict[str, int]()
        late_count = 0
        for place in self._rules:
            done_before, late_after = self._rules.rule_of(place)
            if late_after is not None:
                before = int((self._now - late_after) * _SECOND_NS)
                late += self._reader.waiting(place, done_before, before, MOST_TRANSACTIONS)
                late_count += self._reader.count_waiting(place, done_before, before)
        late = sorted(late, key=lambda each: -each.last)[:MOST_TRANSACTIONS]
        counts = {"transactions": self._reader.count() - len(latest), "late": late_count - len(late)}
        cut = {name: count for name, count in counts.items() if count > 0}
        return Transactions(transactions=list(map(self.describe, latest)), late=list(map(self.describe, late)), cut=cut)

    def describe(self, seen: SeenTransaction, *, with_steps: bool = False) -> Transaction:
        """Return what is known of a transaction."""
        place, rule = self._places[seen.place], self._rules.rule_of(seen.place)
        is_done = seen.last < rule.done_before
        return Transaction(
            id=seen.id,
            state="done" if is_done else _state_of(rule, self._now - seen.last / _SECOND_NS),
            service=place.service,
            env=place.env,
            checkpoint=place.checkpoint,
            first=seen.first / _SECOND_NS,
            last=seen.last / _SECOND_NS,
            late_after=None if is_done else rule.late_after,
            steps=_describe_steps(self._reader, self._places, seen.key) if with_steps else [],
        )


def _state_of(rule: PlaceRule, waits: float) -> TransactionState:
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
