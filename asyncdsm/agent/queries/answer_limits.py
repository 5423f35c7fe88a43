"""How long the lists of an answer may be, and how many bytes their names may take.

An answer says in `cut` how much it leaves out of which list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from msgspec import Struct
from msgspec.json import encode

from asyncdsm.agent.store.histograms import Floats
from asyncdsm.agent.store.shares import equal_share

Item = TypeVar("Item", bound=Struct)

MOST_EDGES = MOST_PATHWAYS = MOST_LAGS = 10_000
MOST_SERVICES = 2_000
# 300 services with 20 pathways each are shown completely; an answer has at most 15 MB or so, and rarely 1 MB.
MOST_LAG_SERIES = 1_000
MOST_NAME_BYTES = 4 << 20
"""Bytes of the names and tags in one list of an answer, as JSON. 10,000 ordinary edges have 1.5 MB."""
MOST_BYTES = 16 << 20
"""Bytes of a list of pathways with their hops, as JSON."""


class AnswerLimits:
    """Shortens the lists of one answer, and counts in `left_out` what they lose, by the list's name."""

    def __init__(self) -> None:
        self.left_out: dict[str, int] = {}

    def keep_busiest(
        self,
        name: str,
        counts: Floats,
        owners: Sequence[Hashable],
        most: int,
        names: Callable[[int], object] = lambda _: (),
    ) -> list[int]:
        """Return the indexes of the largest counts of each owner, in ascending order.

        Owners that have more than an equal share of `most` are cut to that share. So are owners whose `names` (the
        strings that an answer has of an index) take more than an equal share of `MOST_NAME_BYTES`.
        """
        kept = _busiest(counts, owners, most)
        sizes = {index: len(encode(names(index))) for index in kept}
        if sum(sizes.values()) > MOST_NAME_BYTES:
            busiest_first = sorted(kept, key=lambda index: (-counts[index], index))
            kept = sorted(_within_name_bytes(busiest_first, owners, sizes))
        if len(kept) < len(counts):
            self.left_out[name] = len(counts) - len(kept)
        return kept

    def keep_largest(self, name: str, items: Sequence[Item], most: int, size: Callable[[Item], float]) -> list[Item]:
        """Return the `most` items that are largest by `size`, in the order in which they are given."""
        counts = np.array([size(item) for item in items], np.float64)
        kept = self.keep_busiest(name, counts, [0] * len(items), most, lambda index: _strings_of(items[index]))
        return [items[index] for index in kept]


def _busiest(counts: Floats, owners: Sequence[Hashable], most: int) -> list[int]:
    """Return the indexes of the largest counts of each owner, at most `most` in all, in ascending order."""
    if len(counts) <= most:
        return list(range(len(counts)))
    number_of: dict[Hashable, int] = {}
    numbers = np.array([number_of.setdefault(owner, len(number_of)) for owner in owners], np.int64)
    sizes = np.bincount(numbers)
    order = np.lexsort((-counts, numbers))
    rank = np.arange(len(counts)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    found: list[int] = np.sort(order[rank < max(1, equal_share(sizes.tolist(), most))])[:most].tolist()
    return found


def _within_name_bytes(indexes: Iterable[int], owners: Sequence[Hashable], sizes: Mapping[int, int]) -> Iterator[int]:
    """Yield indexes, the first ones of an owner first, until each owner has its share of the bytes."""
    bytes_of = Counter[Hashable]()
    for index, size in sizes.items():
        bytes_of[owners[index]] += size
    share, used = equal_share(bytes_of.values(), MOST_NAME_BYTES), Counter[Hashable]()
    for index in indexes:
        owner = owners[index]
        if used[owner] + sizes[index] <= share:
            used[owner] += sizes[index]
            yield index


def _strings_of(item: Struct) -> list[object]:
    """Return the strings of an item of an answer, without its figures."""
    values = ((name, getattr(item, name)) for name in item.__struct_fields__)
    return [value for name, value in values if isinstance(value, str) or name in {"process_tags", "versions"}]


def within_bytes(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items until they take more than `MOST_BYTES` as JSON."""
    room = MOST_BYTES
    for item in items:
        room -= len(encode(item))
        if room < 0:
            return
        yield item
