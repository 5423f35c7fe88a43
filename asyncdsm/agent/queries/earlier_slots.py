"""What hops were like before the time in which changes are looked for: one that seems faster may be back to usual.

A trouble may last longer than the slots that are looked at. Of the hops for which it matters, coarser slots before
these are read, as far back as data are kept: tens of minutes of a day, and hours before that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from time import monotonic
from typing import ClassVar
from weakref import WeakKeyDictionary

from asyncdsm.agent.queries.latency_changes import Change, last_change, state_of
from asyncdsm.agent.queries.recent_slots import READING_SECONDS, slots_of
from asyncdsm.agent.queries.usual_slots import FACTOR, Slot
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.resolutions import RESOLUTIONS, TimeRange

TEN_MINUTES, HOUR, DAY = RESOLUTIONS[2], RESOLUTIONS[3], 86_400
MOST_EDGES, MOST_KEPT = 100, 50_000
"""For how many hops slots are read at once, those that were the slowest first; and how many slots are kept."""


class EarlierSlots:
    """Reads slots of some edges, and keeps them."""

    _of_stores: ClassVar[WeakKeyDictionary[Store, EarlierSlots]] = WeakKeyDictionary()

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[tuple[EdgeKey, int, int], Slot | None] = {}

    @classmethod
    def of_store(cls, store: Store) -> EarlierSlots:
        """Return the one of a store."""
        return cls._of_stores.setdefault(store, cls(store))

    def find_returns(
        self, changes: Mapping[EdgeKey, Change], slots: Mapping[EdgeKey, Sequence[Slot]]
    ) -> dict[EdgeKey, Change]:
        """Return changes, those of hops that seem faster as what they are if slots before the known ones are read.

        `slots` are those in which the changes were found. As many as can be read at once are read, the newest first:
        one call after the other reads the others.
        """
        faster = [edge for edge, change in changes.items() if _seems_faster(slots[edge][-1], change)]
        slowest = sorted(faster, key=lambda edge: -changes[edge].slowness)[:MOST_EDGES]
        seeking = {edge: list(slots[edge]) for edge in slowest}
        found, until = dict(changes), monotonic() + READING_SECONDS
        end = min((each[0].start for each in seeking.values()), default=0)
        for start, width in self._list_slots(end) if seeking else ():
            if not seeking or monotonic() > until:
                break
            self._read_slot(start, width, seeking)
            for edge, known in list(seeking.items()):
                slot = self._kept.get((edge, start, width))
                if slot is None:
                    continue
                known.insert(0, slot)
                # Only a slot that is not slower than now may belong to what is usual.
                now, then = (changes[edge].choose_latency(each.slowness, each.p50) for each in (known[-1], slot))
                change = last_change(known) if then < FACTOR * now else None
                if change is not None and change.is_return:
                    found[edge] = change
                    del seeking[edge]
        return found

    def _list_slots(self, end: int) -> Iterator[tuple[int, int]]:
        """Yield starts and widths of the slots before a moment, the newest first, as far back as the store has data."""
        oldest = self._store.oldest_start()
        if oldest is None:
            return
        oldest, day = max(oldest, end - self._store.kept_seconds), (end - DAY) // HOUR * HOUR
        start = end // TEN_MINUTES * TEN_MINUTES - TEN_MINUTES
        while start + HOUR > oldest:
            width = TEN_MINUTES if start >= day else HOUR
            yield start, width
            start -= TEN_MINUTES if start > day else HOUR

    def _read_slot(self, start: int, width: int, edges: Collection[EdgeKey]) -> None:
        """Read the slot of the edges of which it is not kept."""
        missing = [edge for edge in edges if (edge, start, width) not in self._kept]
        if missing:
            read: dict[EdgeKey, Slot] = {}
            sums = self._store.sum_edges_by_start(TimeRange(start, start + width), coarsest=width)
            for begin, each in sums.items():  # several where the slot is not rolled up: the last one says enough
                read |= {edge: found for edge, (found,) in slots_of(begin, each).items()}
            self._kept |= {(edge, start, width): read.get(edge) for edge in missing}
            if len(self._kept) > MOST_KEPT:
                self._kept = dict(list(self._kept.items())[-MOST_KEPT:])


def _seems_faster(newest: Slot, change: Change) -> bool:
    return state_of(change.choose_latency(newest.slowness, newest.p50), change) == "faster"
