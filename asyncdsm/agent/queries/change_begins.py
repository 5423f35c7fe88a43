"""When a hop changed, to ten seconds as long as rows of ten seconds are kept.

A change is found in slots that are the coarser the longer ago it was. So its begin is looked for again in finer slots,
next to the slot in which it was found: it stays what it was while the slots become coarser.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from time import monotonic
from typing import ClassVar, Protocol
from weakref import WeakKeyDictionary

from asyncdsm.agent.queries.latency_changes import Change, begin_of_change, begin_of_return
from asyncdsm.agent.queries.recent_slots import slots_of
from asyncdsm.agent.queries.usual_slots import Slot
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.resolutions import RESOLUTIONS, TimeRange

MINUTE, HOUR = RESOLUTIONS[1], RESOLUTIONS[3]
READING_SECONDS = 0.1
"""For how long finer slots are read at once, by the clock, if there is more than one change: the newest is always read,
and the others are read by the next calls."""
MOST_KEPT = 10_000
"""How many begins are kept."""

Begins = Mapping[EdgeKey, int]
"""Since when edges have changed, in seconds since the epoch."""
Place = tuple[str, EdgeKey, int, int]
"""What changed, an edge, and the start and the width of the slot in which its change was found."""


class BeginFinder(Protocol):
    """Finds begins of one kind of change in slots that are finer than those in which the changes were found."""

    what: str
    """What changed: the begins that are kept of two finders with the same one are the same."""
    reach: int
    """How many slots, in which a change was found, are looked at before its start, and after it."""

    def find_begins(self, store: Store, around: TimeRange, finer: int, edges: Collection[EdgeKey]) -> Begins:
        """Return when edges changed, by their slots of `finer` seconds; without those of which they do not tell it.

        The slot in which the change was found begins in the middle of `around`.
        """
        ...


class ChangeBegins:
    """Finds when changes began, and keeps what was found in slots that do not change any more."""

    _of_stores: ClassVar[WeakKeyDictionary[Store, ChangeBegins]] = WeakKeyDictionary()

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[Place, tuple[Hashable, int]] = {}

    @classmethod
    def of_store(cls, store: Store) -> ChangeBegins:
        """Return the one of a store."""
        return cls._of_stores.setdefault(store, cls(store))

    def refine(self, begins: Begins, width: int, finder: BeginFinder) -> Begins:
        """Return when changes began that were found in slots of `width` seconds which begin at `begins`."""
        found, until = dict(begins), monotonic() + READING_SECONDS
        for finer in reversed(RESOLUTIONS):
            if finer < width:
                by_start: dict[int, list[EdgeKey]] = {}
                for edge, start in found.items():
                    by_start.setdefault(start, []).append(edge)
                for start in sorted(by_start, reverse=True):
                    has_time = start == max(by_start) or monotonic() < until
                    found |= self._refine(by_start[start], start, width, finer, finder, has_time=has_time)
                width = finer
        return found

    def _refine(
        self, edges: Collection[EdgeKey], start: int, width: int, finer: int, finder: BeginFinder, *, has_time: bool
    ) -> Begins:
        """Return the begins of changes that were found in one slot: those that are kept, if no more can be read."""
        if start % width:  # it was found in a finer slot
            return {}
        around = TimeRange(start - finder.reach * width, start + finder.reach * width)
        version = self._version(around)
        kept = {edge: self._kept.get((finder.what, edge, start, width)) for edge in edges}
        known = {edge: each[1] for edge, each in kept.items() if each is not None and each[0] == version}
        if len(known) < len(edges) and has_time:
            missing = [edge for edge in edges if edge not in known]
            new = {**dict.fromkeys(missing, start), **finder.find_begins(self._store, around, finer, missing)}
            known |= new
            if version is not None:
                places = {(finder.what, edge, start, width): (version, begin) for edge, begin in new.items()}
                self._kept = dict([*{**self._kept, **places}.items()][-MOST_KEPT:])
        return known

    def _version(self, around: TimeRange) -> Hashable:
        """Return the version of all minutes, None if some are not rolled up yet: these change without one."""
        versions = self._store.roll_up_versions(around, MINUTE)
        is_complete = len(versions) == (around.last - around.first) // MINUTE
        return tuple(versions.items()) if is_complete or around.last < self._store.now() - HOUR else None


class LatencyBegins:
    """Finds when hops became slower or faster: when they left the level that they had before."""

    what: str = "latency"
    reach: int = 1

    def __init__(self, changes: Mapping[EdgeKey, Change]) -> None:
        self._changes = changes

    @classmethod
    def refine(cls, store: Store, changes: Mapping[EdgeKey, Change], width: int) -> dict[EdgeKey, Change]:
        """Return changes that were found in slots of `width` seconds with the times at which they began."""
        begins = {edge: change.since for edge, change in changes.items()}
        refined = ChangeBegins.of_store(store).refine(begins, width, cls(changes))
        return {edge: changes[edge]._replace(since=begin) for edge, begin in refined.items()}

    def find_begins(self, store: Store, around: TimeRange, finer: int, edges: Collection[EdgeKey]) -> Begins:
        """Return when edges changed, as `BeginFinder` says."""
        found, wanted = dict[EdgeKey, list[Slot]](), set(edges)
        for start, sums in store.sum_edges_by_start(around, coarsest=finer).items():
            for edge, slots in slots_of(start, sums).items():
                if edge in wanted:
                    found.setdefault(edge, []).extend(slots)
        middle = int(around.first + around.last) // 2
        changes = {edge: self._changes[edge]._replace(since=middle) for edge in found}
        return {edge: self._begin_of(slots, changes[edge]) for edge, slots in found.items()}

    def _begin_of(self, slots: Sequence[Slot], change: Change) -> int:
        return begin_of_change(slots, change)


class ReturnBegins(LatencyBegins):
    """Finds since when hops are back to usual."""

    what: str = "return"

    def _begin_of(self, slots: Sequence[Slot], change: Change) -> int:
        return begin_of_return(slots, change)
