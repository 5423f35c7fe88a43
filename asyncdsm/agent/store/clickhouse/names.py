"""Points and services in memory, as any agent sees them: their ids in ClickHouse, and their numbers here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asyncdsm.agent.store.clickhouse.identities import point_id
from asyncdsm.agent.store.histograms import Ints
from asyncdsm.agent.store.registry import PointKey, PointRegistry

NAMES_SECONDS = 3600
"""After how long a name that is still in use is written again, so that it is not forgotten."""
MOST_FORGOTTEN = 1_000_000
"""How many ids of evicted points are remembered: 64 MB."""


class PointNames:
    """The ids of the points of a registry. One thread at a time may use it."""

    def __init__(self, registry: PointRegistry) -> None:
        self._registry = registry
        self._ids: dict[int, int] = {}
        self._numbers: dict[int, int] = {}
        self._forgotten: set[int] = set()
        self._remembered = 0
        self.written: dict[int, int] = {}
        """The start of the last row that a point had when its name was last written, by its number."""
        self._last: dict[int, int] = {}

    @property
    def version(self) -> tuple[int, int]:
        """What changes as soon as an id that rows may have gets another number, has none any more, or has one again."""
        return self._registry.forgotten, self._remembered

    def id_of(self, number: int) -> int | None:
        """Return the id of a point by its number; None if the point was evicted."""
        known = self._ids.get(number)
        if known is None and (key := self._registry.keys.get(number)) is not None:
            known = self._ids[number] = point_id(key)
            self._numbers[known] = number
            if known in self._forgotten:
                self._forgotten.discard(known)
                self._remembered += 1
        return known

    def add(self, key: PointKey) -> int | None:
        """Add a point that ClickHouse has, and return its number; None if there is no room for it."""
        service = self._registry.number_service(key.service, key.env)
        number = self._registry.number_point(key, service)
        found = self.id_of(number)
        self.drop_evicted()
        return number if found is not None and number in self._registry.keys else None

    def numbers_of(self, ids: NDArray[np.uint64]) -> tuple[Ints, list[int]]:
        """Return the number of each id, -1 for unknown ones, and the ids that ClickHouse should be asked for."""
        distinct, place = np.unique(ids, return_inverse=True)
        numbers = [self._numbers.get(each, -1) for each in distinct.tolist()]
        unknown = [
            each
            for each, number in zip(distinct.tolist(), numbers, strict=True)
            if number < 0 and each not in self._forgotten
        ]
        return np.array(numbers, np.int64)[place], unknown

    def ignore(self, ids: list[int]) -> None:
        """Leave out these ids from now on: ClickHouse does not know them, or there is no room for them."""
        if len(self._forgotten) > MOST_FORGOTTEN:
            self._forgotten.clear()
            self._remembered += 1
        self._forgotten.update(ids)

    def note_last(self, number: int, start: int) -> None:
        """Note the start of a row of a point, so that it is known when the point has none any more."""
        self._last[number] = max(start, self._last.get(number, start))

    def drop_old(self, oldest: float) -> None:
        """Forget the points whose last row is older than a time in seconds, and the services that had only those."""
        old = [number for number, last in self._last.items() if last < oldest]
        services = {self._registry.keys[number][:2] for number in old if number in self._registry.keys}
        self._registry.remove(old, [])
        self._registry.remove([], services - {key[:2] for key in self._registry.keys.values()})
        for number in old:
            self._numbers.pop(self._ids.pop(number, -1), None)
            self.written.pop(number, None)
            del self._last[number]

    def drop_evicted(self) -> None:
        """Forget the points that the registry has evicted. ClickHouse forgets them when they are old."""
        for number in self._registry.evicted_points:
            self.written.pop(number, None)
            self._last.pop(number, None)
        evicted = [self._ids.pop(number, None) for number in self._registry.evicted_points]
        known = [each for each in evicted if each is not None]
        for each in known:
            self._numbers.pop(each, None)
        self.ignore(known)
        self._registry.evicted_points.clear()
        self._registry.evicted_services.clear()
