"""The outbox as a state machine, against a plain list."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asyncdsm.core.counters import Counters
from asyncdsm.delivery.outbox import Outbox, Parcel

LIMIT = 100


class OutboxMachine(RuleBasedStateMachine):
    """One task takes, delivers or puts back; any thread puts."""

    def __init__(self) -> None:
        super().__init__()
        self.counters = Counters()
        self.outbox = Outbox(LIMIT, self.counters)
        self.held: Parcel | None = None
        # The model: what waits, oldest first, and what became of the rest.
        self.waiting: list[Parcel] = []
        self.recorded = self.delivered = 0
        self.dropped: dict[str, int] = {}
        self.number = 0

    def lose(self, cause: str, checkpoints: int) -> None:
        if checkpoints:
            self.dropped[cause] = self.dropped.get(cause, 0) + checkpoints

    def make_room(self) -> int:
        lost = 0
        while sum(len(parcel.payload) for parcel in self.waiting) > LIMIT:
            lost += self.waiting.pop(0).checkpoints
        self.lose("outbox", lost)
        return lost

    @rule(size=st.integers(0, LIMIT + 20), checkpoints=st.integers(1, 50))
    def put(self, size: int, checkpoints: int) -> None:
        self.number += 1
        parcel = Parcel(bytes([self.number % 256]) * size, checkpoints)
        self.counters.record(checkpoints)
        self.recorded += checkpoints
        self.waiting.append(parcel)
        assert self.outbox.enqueue(parcel) == self.make_room()

    @precondition(lambda self: self.held is None)
    @rule()
    def take(self) -> None:
        expected = self.waiting.pop(0) if self.waiting else None
        self.held = self.outbox.dequeue()
        assert self.held == expected

    @precondition(lambda self: self.held is not None)
    @rule()
    def deliver(self) -> None:
        assert self.held is not None
        self.counters.deliver(self.held.checkpoints)
        self.delivered += self.held.checkpoints
        self.held = None

    @precondition(lambda self: self.held is not None)
    @rule()
    def refuse(self) -> None:
        assert self.held is not None
        self.counters.drop("rejected", self.held.checkpoints)
        self.lose("rejected", self.held.checkpoints)
        self.held = None

    @precondition(lambda self: self.held is not None)
    @rule()
    def put_back(self) -> None:
        assert self.held is not None
        self.waiting.insert(0, self.held)
        assert self.outbox.requeue(self.held) == self.make_room()
        self.held = None

    @rule()
    def give_up(self) -> None:
        lost = sum(parcel.checkpoints for parcel in self.waiting)
        self.lose("shutdown", lost)
        self.waiting = []
        assert self.outbox.drop_all("shutdown") == lost

    @invariant()
    def equals_the_model(self) -> None:
        assert len(self.outbox) == len(self.waiting)
        assert self.outbox.size == sum(len(parcel.payload) for parcel in self.waiting) <= LIMIT

    @invariant()
    def accounts_balance(self) -> None:
        stats = self.counters.to_stats()
        waiting = sum(parcel.checkpoints for parcel in self.waiting) + (self.held.checkpoints if self.held else 0)
        assert (stats.recorded, stats.delivered, stats.pending) == (self.recorded, self.delivered, waiting)
        assert {**stats.dropped_by} == self.dropped
        assert stats.recorded == stats.delivered + stats.pending + stats.dropped


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(max_examples=60, stateful_step_count=40)
