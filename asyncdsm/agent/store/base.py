"""What all stores have in common: what they know in memory, and answer without reading a row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Generic, Protocol, TypeVar

from asyncdsm.agent.store.conditions import Conditions
from asyncdsm.agent.store.limits import MAX_NAMES, MAX_SERVICES
from asyncdsm.agent.store.offsets import Backlog, LatestOffsets, Tags
from asyncdsm.agent.store.point_ages import PointAges
from asyncdsm.agent.store.registry import EdgeKey, PointRegistry
from asyncdsm.agent.store.reports import AcceptedPayload, Report
from asyncdsm.agent.store.resolutions import TimeRange, bucket_bounds
from asyncdsm.agent.store.schemas import SchemaHistory
from asyncdsm.agent.store.services import ServiceFacts
from asyncdsm.agent.store.versions import ServiceKey, VersionRun
from asyncdsm.agent.store.write_buffer import end_of_rows


class MemoryState(Protocol):
    """The state of a store in memory, guarded by a lock."""

    @property
    def lock(self) -> AbstractContextManager[object]:
        """Hold it to read more than one thing."""
        ...

    @property
    def schemas(self) -> SchemaHistory:
        """The schemas of each edge."""
        ...

    @property
    def newest(self) -> int:
        """The start of the newest row."""
        ...


State = TypeVar("State", bound=MemoryState)


class BaseStore(ABC, Generic[State]):
    """A store (`protocol.Store`) as far as it does not depend on where the rows are.

    A subclass has its state as `_state`.
    """

    _state: State

    def __init__(
        self,
        kept_seconds: int,
        group_size: int,
        *,
        most_points: int,
        most_backlogs: int,
        now: Callable[[], float],
        ticks: Callable[[], float],
    ) -> None:
        """`now` returns seconds since the epoch, and `ticks` seconds of a clock that nobody sets."""
        self.kept_seconds: int = kept_seconds
        self.group_size: int = group_size
        self.now: Callable[[], float] = now
        self.opened_at: float = now()
        """Since when payloads are accepted, in seconds since the epoch."""
        self.conditions: Conditions = Conditions(now)
        self.points: PointRegistry = PointRegistry(most_points, MAX_NAMES)
        self.point_ages: PointAges = PointAges()
        self.facts: ServiceFacts = ServiceFacts(MAX_SERVICES)
        self._latest = LatestOffsets(most_backlogs)
        self._ticks = ticks

    def add(self, report: Report) -> None:
        """Add a report without a body. Raises what `add_all` raises."""
        self.add_all([AcceptedPayload(report)])

    @abstractmethod
    def add_all(self, payloads: Sequence[AcceptedPayload]) -> None:
        """Add payloads."""

    def accepted_bodies(self) -> Sequence[tuple[bytes, float]]:
        """Return nothing: the store does not outlive the agent, or recognizes bodies that are sent again itself."""
        return ()

    def forget_body(self, digest: bytes) -> None:
        """Do nothing: there are no digests."""

    def backlogs(self) -> dict[Tags, int]:
        """Return the latest offset of each backlog, by its sorted tags."""
        self._refresh()
        with self._state.lock:
            return self._latest.values()

    def recent_offsets(self) -> list[tuple[Tags, tuple[Backlog, ...]]]:
        """Return the tags of each backlog and its offsets of the last two minutes, in the order of their buckets."""
        self._refresh()
        with self._state.lock:
            return self._latest.recent()

    def backlog_owners(self) -> dict[Tags, int]:
        """Return the number of the service that each backlog belongs to: the one that reported it first."""
        self._refresh()
        with self._state.lock:
            return self._latest.owners()

    def schemas(self) -> dict[EdgeKey, tuple[VersionRun, ...]]:
        """Return the schemas of each edge that are known (`parse_schema`), the one that began first first."""
        self._refresh()
        with self._state.lock:
            return self._state.schemas.copy_all()

    def services(self) -> dict[tuple[str, str], float]:
        """Return when each (service, env) last reported, in seconds since the epoch."""
        self._refresh()
        with self._state.lock:
            return self.facts.last_seen()

    def versions(self) -> dict[ServiceKey, tuple[VersionRun, ...]]:
        """Return the versions of each (service, env) that are known, the one that began first first."""
        self._refresh()
        with self._state.lock:
            return self.facts.versions.copy_all()

    def _refresh(self) -> None:
        """Read what others wrote, if that is due."""

    def _bucket_bounds(self, time_range: TimeRange) -> tuple[int, int]:
        """Return the first bucket of a time range that counts, and the end of the last bucket."""
        now = self.now()
        return bucket_bounds(time_range, now - self.kept_seconds, end_of_rows(now, self._state.newest, self.facts))
