"""When a hop changed, to ten seconds as long as rows of ten seconds are kept.

A change is found in slots that are the coarser the longer ago it was. So its begin is looked for again in finer slots,
next to the slot in which it was found: it stays what it was while the slots become coarser.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from time import monotonic
from typing import ClassVar
from weakref import WeakKeyDictionary

from asyncdsm.agent.queries.latency_changes import Change, Slot, begin_of_change
from asyncdsm.agent.queries.recent_slots import slots_of
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.resolutions import RESOLUTIONS, TimeRange

MINUTE, HOUR = RESOLUTIONS[1], RESOLUTIONS[3]
READING_SECONDS = 0.1
"""For how long finer slots are read at once, by the clock; the others are read by the next calls."""
MOST_KEPT = 10_000
"""How many begins are kept."""

Place = tuple[EdgeKey, int, int]
"""An edge, and the start and the width of the slot in which its change was found."""


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

    def refine(self, changes: Mapping[EdgeKey, Change], width: int) -> dict[EdgeKey, Change]:
        """Return changes that were found in slots of `width` seconds with the times at which they began."""
        found, until = dict(changes), monotonic() + READING_SECONDS
        for finer in reversed(RESOLUTIONS):
            if finer < width:
                by_start: dict[int, list[EdgeKey]] = {}
                for edge, change in found.items():
                    by_start.setdefault(change.since, []).append(edge)
                for start in sorted(by_start, reverse=True):
                    wanted = {edge: found[edge] for edge in by_start[start]}
                    found |= self._refine(wanted, start, width, finer, until)
                width = finer
        return found

    def _refine(
        self, changes: Mapping[EdgeKey, Change], start: int, width: int, finer: int, until: float
    ) -> dict[EdgeKey, Change]:
        """Return the changes that were found in one slot as they are in finer ones, if there is time to read these."""
        if start % width:  # it was found in a finer slot
            return {}
        around = TimeRange(start - width, start + width)
        version = self._version(around)
        kept = {edge: self._kept.get((edge, start, width)) for edge in changes}
        known = {edge: each[1] for edge, each in kept.items() if each is not None and each[0] == version}
        if len(known) < len(changes) and monotonic() < until:
            slots = self._read_slots_of(around, finer, changes)
            known |= {edge: begin_of_change(slots[edge], changes[edge]) for edge in slots if edge not in known}
            if version is not None:
                new = {(edge, start, width): (version, begin) for edge, begin in known.items()}
                self._kept = dict([*{**self._kept, **new}.items()][-MOST_KEPT:])
        return {edge: changes[edge]._replace(since=begin) for edge, begin in known.items()}

    def _version(self, around: TimeRange) -> Hashable:
        """Return the version of all minutes, None if some are not rolled up yet: these change without one."""
        versions = self._store.roll_up_versions(around, MINUTE)
        is_complete = len(versions) == (around.last - around.first) // MINUTE
        return tuple(versions.items()) if is_complete or around.last < self._store.now() - HOUR else None

    def _read_slots_of(self, around: TimeRange, finer: int, edges: Iterable[EdgeKey]) -> dict[EdgeKey, list[Slot]]:
        found: dict[EdgeKey, list[Slot]] = {}
        wanted = set(edges)
        for start, sums in self._store.sum_edges_by_start(around, coarsest=finer).items():
            for edge, slots in slots_of(start, sums).items():
                if edge in wanted:
                    found.setdefault(edge, []).extend(slots)
        return found
