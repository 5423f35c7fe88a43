"""What the agent asks of a store, whatever it keeps its data in: a file, memory, or ClickHouse.

Intake, queries, alerts and metrics know this protocol only. Times are in seconds since the epoch unless said otherwise.
Services and points have numbers, which each agent gives out on its own and never twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from asyncdsm.agent.store.conditions import Conditions
from asyncdsm.agent.store.edge_sums import EdgeSums
from asyncdsm.agent.store.growth import Growth
from asyncdsm.agent.store.merger import Label, LabeledHistograms
from asyncdsm.agent.store.offset_search import Crossing, Passing
from asyncdsm.agent.store.offsets import Backlog, Tags
from asyncdsm.agent.store.point_ages import PointAges
from asyncdsm.agent.store.registry import EdgeKey, PointRegistry
from asyncdsm.agent.store.reports import AcceptedPayload, FactSums
from asyncdsm.agent.store.resolutions import RESOLUTIONS, TimeRange
from asyncdsm.agent.store.services import ServiceFacts
from asyncdsm.agent.store.spool import Spool
from asyncdsm.agent.store.transaction_reader import PlaceSample, SeenTransaction, Step
from asyncdsm.agent.store.transactions import Place
from asyncdsm.agent.store.versions import ServiceKey, VersionRun
from asyncdsm.errors import StoreUnavailableError

UNAVAILABLE: tuple[type[Exception], ...] = (sqlite3.Error, StoreUnavailableError)
"""What the methods of a store raise while it cannot be read or written."""
COUNTERS = ("payloads", "rows", "forgotten_rows", "ignored_rows", "clamped_buckets")


class TransactionReader(Protocol):
    """Reads business transactions at one moment. Times are in nanoseconds since the epoch."""

    def places(self) -> dict[int, Place]:
        """Return the places by their numbers."""
        ...

    def find(self, transaction_id: str) -> SeenTransaction | None:
        """Return the transaction with an id, None if none is known."""
        ...

    def latest(self, most: int) -> list[SeenTransaction]:
        """Return the transactions that were seen last, the latest first."""
        ...

    def waiting(
        self,
        place: int,
        since: int,
        before: int,
        done_before: Mapping[frozenset[int], int],
        most: int,
        *,
        oldest_first: bool = False,
    ) -> list[SeenTransaction]:
        """Return the transactions that were seen last at a place, in [since, before); the latest first, or the oldest.

        Those that have passed just the places of a set in `done_before` are left out if they were seen last before its
        time.
        """
        ...

    def count_waiting(self, place: int, since: int, before: int, done_before: Mapping[frozenset[int], int]) -> int:
        """Return how many such transactions there are."""
        ...

    def count_passed(self, passed: frozenset[int], since: int, before: int) -> int:
        """Return how many transactions have passed just these places, and were seen last in [since, before)."""
        ...

    def last_passed(self, passed: frozenset[int], before: int, most: int) -> list[int]:
        """Return when transactions that have passed just these places were seen last: the latest ones before a time."""
        ...

    def places_passed(self, keys: Sequence[int]) -> dict[int, frozenset[int]]:
        """Return the places that each of some transactions has passed, by their keys."""
        ...

    def count(self) -> int:
        """Return how many transactions there are."""
        ...

    def steps(self, key: int) -> list[Step]:
        """Return the steps of a transaction, in the order of their times."""
        ...

    def sample(self, before: int) -> dict[int, PlaceSample]:
        """Return, by place, a sample of the transactions that were seen last there, before a time."""
        ...


class Store(Protocol):
    """Keeps what services report. Any thread may use it. Its methods raise `UNAVAILABLE` unless said otherwise."""

    kept_seconds: int
    """How long rows are kept."""
    now: Callable[[], float]
    opened_at: float
    """Since when payloads are accepted."""
    group_size: int
    """How many payloads are best added at once, if they wait."""
    conditions: Conditions
    points: PointRegistry
    """The numbers of services and points that are known."""
    point_ages: PointAges
    facts: ServiceFacts
    """What the latest payload of each service said about it."""

    @property
    def payloads(self) -> int:
        """How many payloads were accepted, ever, as far as is known here. Reading it waits for nothing."""
        ...

    def close(self) -> None:
        """Write what is not written yet, if that is possible, and close the file or connection. Raises nothing."""

    def open_spool(self, limit_bytes: int) -> Spool | None:
        """Return the payloads that wait to be forwarded, or None if this store does not keep them.

        Raises StoreError.
        """
        ...

    def save_spool(self) -> None:
        """Write the payloads that wait to be forwarded, and delete all others."""

    def add_all(self, payloads: Sequence[AcceptedPayload]) -> None:
        """Add payloads: when this returns, a kill loses none of them.

        If it raises, none of them counts, and each may be added again without being counted twice. Raises
        StoreFullError if there is no room.
        """

    def accepted_bodies(self) -> Sequence[tuple[bytes, float]]:
        """Return the digests of bodies that were accepted before the start, and whose senders may not know it.

        Each comes with how many seconds ago that was, the oldest first. There are none if the store itself recognizes
        bodies that are sent again. Raises nothing.
        """
        ...

    def forget_body(self, digest: bytes) -> None:
        """Note that the sender of a body has its answer, and sends it no more. Raises nothing, and waits for nothing.

        A store that has no such digest does nothing.
        """

    def maintain(self) -> None:
        """Do what is due: write, roll up, delete, read what others wrote. Call it every second or so."""

    def merge_rows(
        self,
        time_range: TimeRange,
        label: Label,
        *,
        service: int | None = None,
        coarsest: int = RESOLUTIONS[-1],
        sketch: int | None = None,
    ) -> LabeledHistograms:
        """Return what was counted in a time range, merged by the labels that `label` gives to the rows.

        `service` limits it to one service, by its number, and `sketch` to one of the three histograms. Rows are no
        coarser than `coarsest` seconds, except where the finer ones are deleted already.
        """
        ...

    def sum_edges(self, time_range: TimeRange, *, coarsest: int = RESOLUTIONS[-1]) -> EdgeSums:
        """Return what was counted in a time range by edge: less than `merge_rows` returns, and in less time.

        Points that were evicted may still be in it.
        """
        ...

    def sum_edges_by_start(self, time_range: TimeRange, *, coarsest: int = RESOLUTIONS[-1]) -> dict[int, EdgeSums]:
        """Return the same by the start of the rows, in ascending order."""
        ...

    def roll_up_versions(self, time_range: TimeRange, width: int) -> dict[int, tuple[int, int]]:
        """Return the version of each period of `width` seconds in a time range that is rolled up, by its start.

        What was counted in such a period changes only together with its version.
        """
        ...

    def offsets(self, time_range: TimeRange) -> list[tuple[Tags, int, int]]:
        """Return tags, start and value of the offsets in a time range, and of each backlog's last one before it.

        They are in order of time.
        """
        ...

    def find_crossings(self, wanted: Iterable[Passing]) -> dict[Passing, Crossing]:
        """Return when backlogs passed values, as far as that was not deleted."""
        ...

    def thinned_offsets(self, tags: Tags, first: int, last: int, step: int) -> list[Backlog]:
        """Return the last offset of a backlog in each `step` seconds of [first, last)."""
        ...

    def backlogs(self) -> dict[Tags, int]:
        """Return the latest offset of each backlog, by its sorted tags."""
        ...

    def recent_offsets(self) -> list[tuple[Tags, tuple[Backlog, ...]]]:
        """Return the tags of each backlog and its offsets of the last two minutes, in the order of their buckets."""
        ...

    def backlog_owners(self) -> dict[Tags, int]:
        """Return the number of the service that each backlog belongs to: the one that reported it first."""
        ...

    def edge_facts(self, time_range: TimeRange) -> dict[EdgeKey, FactSums]:
        """Return what the messages of each edge said in a time range, summed up. Minutes count as a whole."""
        ...

    def schemas(self) -> dict[EdgeKey, tuple[VersionRun, ...]]:
        """Return the schemas of each edge that are known (`schemas.parse_schema`), the one that began first first."""
        ...

    def read_transactions(self) -> AbstractContextManager[TransactionReader]:
        """Return a reader of the business transactions, which has all that were accepted, for use in `with`."""
        ...

    def services(self) -> dict[tuple[str, str], float]:
        """Return when each (service, env) last reported."""
        ...

    def versions(self) -> dict[ServiceKey, tuple[VersionRun, ...]]:
        """Return the versions of each (service, env) that are known, the one that began first first."""
        ...

    def oldest_start(self) -> float | None:
        """Return the start of the oldest row, or None without any row."""
        ...

    def counters(self) -> dict[str, int]:
        """Return each of `COUNTERS`: how many payloads were accepted, how many rows are kept, and how many were not.

        `forgotten_rows` were deleted early for want of room, `ignored_rows` were too old, and `clamped_buckets` came
        from a clock that is ahead.
        """
        ...

    def own_counters(self) -> dict[str, int]:
        """Return the same without the rows that are kept: only what was counted here since the store was opened."""
        ...

    def growth(self) -> Growth | None:
        """Return how fast the store grows under its limit; None if it has none of its own."""
        ...

    def used_bytes(self) -> int:
        """Return how many bytes are in use."""
        ...
