"""Capture what a program produces and consumes, for its tests: in memory, with no agent and no network.

with asyncdsm.testing.capture() as captured:
    ...
    assert captured.produced("invoices")[0].follows(captured.consumed("orders")[0])
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import time_ns
from typing import NamedTuple

from asyncdsm.core import current
from asyncdsm.core.edge import Point
from asyncdsm.core.edge_facts import FactLog
from asyncdsm.core.recorder import BaseRecorder
from asyncdsm.streams import capturing


class Checkpoint(NamedTuple):
    """One checkpoint: one message that was produced or consumed."""

    tags: tuple[str, ...]
    """The edge's tags (protocol §4), sorted."""
    hash: int
    """The hash of the pathway after this checkpoint."""
    parent: int
    """The hash of the pathway before this checkpoint, 0 if the pathway starts here."""
    time_ns: int
    """When it was made, in nanoseconds since the epoch."""
    edge_latency: float
    """Seconds since the previous checkpoint."""
    pathway_latency: float
    """Seconds since the pathway began."""
    size: int | None
    """Bytes of body, key and headers, if known."""

    @property
    def topic(self) -> str | None:
        """The topic, queue or stream; None for an edge that has none, such as an exchange."""
        return self.tag("topic")

    def tag(self, name: str) -> str | None:
        """Return the value of a tag of the edge, as in `tag("group")`; None if the edge has no such tag."""
        return next((tag.removeprefix(f"{name}:") for tag in self.tags if tag.startswith(f"{name}:")), None)

    def follows(self, other: Checkpoint) -> bool:
        """Say whether this checkpoint comes directly after the other one in a pathway."""
        return self.parent == other.hash


class TransactionCheckpoint(NamedTuple):
    """A business transaction that passed a checkpoint (`asyncdsm.track_transaction`)."""

    id: str
    """The transaction's id, cut to 255 bytes."""
    checkpoint: str
    time_ns: int
    """When it passed, in nanoseconds since the epoch."""


class ManualClock:
    """A clock in nanoseconds that moves only when `advance` is called."""

    def __init__(self, start_ns: int = 1_700_000_000_000_000_000) -> None:
        self.now_ns: int = start_ns

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.now_ns += round(seconds * 1e9)


class Captured(BaseRecorder):
    """The checkpoints and offsets captured so far, in the order in which they were made."""

    def __init__(self, service: str, env: str | None, now: Callable[[], int]) -> None:
        super().__init__(service, env, now=now)
        self.strict = True  # a test should see the errors of asyncdsm
        self.facts: FactLog = FactLog(now, bucket_ns=1 << 62)  # all in one bucket
        self._points: list[Point] = []
        self.checkpoints: list[Checkpoint] = []
        """All checkpoints, the oldest first."""
        self.backlogs: dict[tuple[str, ...], int] = {}
        """The highest offset by its sorted tags (protocol §6)."""
        self.transactions: list[TransactionCheckpoint] = []
        """The checkpoints of business transactions, the oldest first."""

    def record(self, point: Point, now: int, edge_ns: int, pathway_ns: int, size: int | None) -> None:
        """Keep a checkpoint as a whole."""
        edge, pathway = max(edge_ns, 0) / 1e9, max(pathway_ns, 0) / 1e9
        self.checkpoints.append(Checkpoint(point.edge.tags, point.hash, point.parent, now, edge, pathway, size))

    def admit(self, point: Point) -> bool:
        """Keep every point."""
        self._points.append(point)
        return True

    def add_offset(self, tags: tuple[str, ...], offset: int) -> None:
        """Keep the highest offset of each backlog."""
        self.backlogs[tags] = max(offset, self.backlogs.get(tags, offset))

    def add_transaction(self, transaction_id: bytes, checkpoint: str) -> None:
        """Keep a transaction's checkpoint."""
        made = TransactionCheckpoint(transaction_id.decode("utf-8", "replace"), checkpoint, self.now())
        self.transactions.append(made)

    def produced(self, topic: str | None = None) -> list[Checkpoint]:
        """Return the produce checkpoints, of one topic or of all."""
        return self._select("out", topic)

    def consumed(self, topic: str | None = None) -> list[Checkpoint]:
        """Return the consume checkpoints, of one topic or of all."""
        return self._select("in", topic)

    def clear(self) -> None:
        """Forget everything captured so far."""
        self.checkpoints.clear()
        self.backlogs.clear()
        self.transactions.clear()
        self.facts.take(None)

    def _select(self, direction: str, topic: str | None) -> list[Checkpoint]:
        return [made for made in self.checkpoints if made.tag("direction") == direction and topic in (None, made.topic)]


@contextmanager
def capture(*, service: str = "test", env: str | None = None, now: Callable[[], int] = time_ns) -> Iterator[Captured]:
    """Capture every checkpoint made inside the block, as in `with capture() as captured:`. Nothing is sent.

    `service` and `env` are what a DataStreams would take from its settings; hashes depend on them. `now` is the clock,
    in nanoseconds since the epoch: it may be a `ManualClock`. Errors of asyncdsm, which a DataStreams keeps from the
    program, are raised. A DataStreams that the program under test starts inside the block does nothing.

    Raises AlreadyRunningError when a DataStreams runs, and inside another `capture`.
    """
    captured = Captured(service, env, now)
    before = current.snapshot()
    try:
        with capturing(captured):
            yield captured
    finally:
        current.set_current(before)
