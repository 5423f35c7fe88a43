"""How long the lists of an answer may be, and how many bytes their names may take.

An answer says what it leaves out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec.json import encode

from asyncdsm.agent.store.histograms import Floats
from asyncdsm.agent.store.shares import equal_share

MOST_EDGES = MOST_PATHWAYS = MOST_LAGS = 10_000
MOST_SERVICES = 2_000
# 300 services with 20 pathways each are shown as a whole; an answer has some 15 MB at most, and seldom 1 MB.
MOST_LAG_SERIES = 1_000
MOST_NAME_BYTES = 4 << 20
"""Bytes of the names and tags in one list of an answer, as JSON. 10,000 ordinary edges have 1.5 MB."""

MOST_BYTES = 16 << 20
"""Bytes of a list of pathways with their hops, as JSON."""


class Cut:
    """Cuts lists, and counts what is left out, by the list's name."""

    def __init__(self) -> None:
        self.left_out: dict[str, int] = {}

    def busiest(
        self,
        name: str,
        counts: Floats,
        owners: Sequence[Hashable],
        most: int,
        names: Callable[[int], object] = lambda _: (),
    ) -> list[int]:
        """Return the places of the largest counts of each owner, in ascending order of places.

        Owners that have more than an equal share of `most` are cut to that, and so are those whose `names` (what is
        shown of a place, but numbers) have more than an equal share of `MOST_NAME_BYTES`.
        """
        places = _busiest(counts, owners, most)
        sizes = {place: len(encode(names(place))) for place in places}
        if sum(sizes.values()) > MOST_NAME_BYTES:
            busiest_first = sorted(places, key=lambda place: (-counts[place], place))
            places = sorted(_within_bytes(busiest_first, owners, sizes))
        if len(places) < len(counts):
            self.left_out[name] = len(counts) - len(places)
        return places

    def largest(
        self, name: str, listed: Sequence[dict[str, Any]], most: int, size: Callable[[dict[str, Any]], float]
    ) -> list[dict[str, Any]]:
        """Return the largest of a list, in the order of the list."""
        counts = np.array([size(item) for item in listed], np.float64)
        places = self.busiest(name, counts, [0] * len(listed), most, lambda place: _names_of(listed[place]))
        return [listed[place] for place in places]

    def shown(self) -> dict[str, Any]:
        """Return the member `cut` of an answer: how many more there are of what; nothing where nothing is cut."""
        return {"cut": dict(self.left_out)} if self.left_out else {}


def _busiest(counts: Floats, owners: Sequence[Hashable], most: int) -> list[int]:
    """Return the places of the largest counts of each owner, at most `most` in all, in ascending order."""
    if len(counts) <= most:
        return list(range(len(counts)))
    number_of: dict[Hashable, int] = {}
    numbers = np.array([number_of.setdefault(owner, len(number_of)) for owner in owners], np.int64)
    sizes = np.bincount(numbers)
    order = np.lexsort((-counts, numbers))
    rank = np.arange(len(counts)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    found: list[int] = np.sort(order[rank < max(1, equal_share(sizes.tolist(), most))])[:most].tolist()
    return found


def _within_bytes(places: Iterable[int], owners: Sequence[Hashable], sizes: Mapping[int, int]) -> Iterator[int]:
    """Yield places, of which the first of an owner are preferred, until an owner has its share of the bytes."""
    bytes_of = Counter[Hashable]()
    for place, size in sizes.items():
        bytes_of[owners[place]] += size
    share, taken = equal_share(bytes_of.values(), MOST_NAME_BYTES), Counter[Hashable]()
    for place in places:
        owner = owners[place]
        if taken[owner] + sizes[place] <= share:
            taken[owner] += sizes[place]
            yield place


def _names_of(item: Mapping[str, Any]) -> list[Any]:
    """Return what is text in an item of an answer; its figures are left out."""
    return [value for key, value in item.items() if isinstance(value, str) or key == "process_tags"]


def within_bytes(items: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield items until they take more than `MOST_BYTES` as JSON."""
    room = MOST_BYTES
    for item in items:
        room -= len(encode(item))
        if room < 0:
            return
        yield item
