"""What the store accepts: payloads that have been read, with the counts of their points as histograms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from asyncdsm.agent.store.histograms import Histograms

_NO_CAUSES: Mapping[str, int] = MappingProxyType({})


class PointReport(NamedTuple):
    """One pathway at one edge during one bucket. Its counts are in the `histograms` of the report."""

    tags: tuple[str, ...]
    hash: int
    parent: int


class FactSums(NamedTuple):
    """How many messages of an edge were redelivered, were dead-lettered, or waited in a batch; times in nanoseconds."""

    redelivered: int = 0
    dead_lettered: int = 0
    waits: int = 0
    wait_ns: int = 0
    longest_wait_ns: int = 0

    def merge(self, other: FactSums) -> FactSums:
        """Return the sum of both, and the longer one of the longest waits."""
        return FactSums(
            self.redelivered + other.redelivered,
            self.dead_lettered + other.dead_lettered,
            self.waits + other.waits,
            self.wait_ns + other.wait_ns,
            max(self.longest_wait_ns, other.longest_wait_ns),
        )


class FactReport(NamedTuple):
    """What the messages of an edge said in one bucket besides their latency."""

    tags: tuple[str, ...]
    sums: FactSums
    schemas: tuple[tuple[int, str], ...] = ()
    """The ids of the messages' schemas, each with its subject, which may be empty."""


class BucketReport(NamedTuple):
    """What a service counted from `start_ns` (nanoseconds since the epoch) on, for `duration_ns`."""

    start_ns: int
    duration_ns: int
    points: list[PointReport]
    backlogs: list[tuple[tuple[str, ...], int]]
    """Tags and highest offset of each backlog."""
    facts: Sequence[FactReport] = ()


class TransactionReport(NamedTuple):
    """A business transaction that passed a named checkpoint at `time_ns` (nanoseconds since the epoch)."""

    id: str
    checkpoint: str
    time_ns: int


class Report(NamedTuple):
    """One payload, read and checked. Group `i` of `histograms` is point `i`, counted through all buckets in order."""

    service: str
    env: str
    lang: str
    hostname: str
    buckets: list[BucketReport]
    histograms: Histograms
    version: str = ""
    process_tags: tuple[str, ...] = ()
    negatives: float = 0.0
    """How many latencies were below zero because the clocks of two machines disagree. They are counted as zeros."""
    unread: Mapping[str, int] = _NO_CAUSES
    """How many parts of the payload could not be read, by cause: in most cases the name of a field."""
    first_unread: str = ""
    """The first part that could not be read: where it is and what is wrong with it."""
    transactions: Sequence[TransactionReport] = ()
    """The checkpoints that business transactions passed."""
    left_out: float = 0.0
    """How many messages are in no point here, because theirs could not be read: mostly for a name that is too long."""


class AcceptedPayload(NamedTuple):
    """A payload that was read, and its body as it came, which the store writes to its journal.

    Without a body, nothing is written to the journal. Without a digest, the body is not recognized after a restart.
    """

    report: Report
    encoding: str = ""
    body: bytes = b""
    digest: bytes = b""


Decode = Callable[[bytes, str], Report]
# Reads a body, given its Content-Encoding. Raises ValueError for a body that cannot be read.
