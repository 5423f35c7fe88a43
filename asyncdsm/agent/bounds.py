"""How long the lists of an answer may be, and what an answer says of what it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from asyncdsm.agent.cells import Floats
from asyncdsm.agent.shares import equal_share

MOST_EDGES = MOST_PATHWAYS = MOST_LAGS = 10_000
MOST_SERVICES = 2_000
# 300 services with 20 pathways each are shown as a whole; an answer has some 15 MB at most, and seldom 1 MB.
MOST_LAG_SERIES = 1_000


class Cut:
    """Cuts lists, and counts what is left out, by the list's name."""

    def __init__(self) -> None:
        self.left_out: dict[str, int] = {}

    def busiest(self, name: str, counts: Floats, owners: Sequence[Hashable], most: int) -> list[int]:
        """Return the places of the largest counts of each owner, in ascending order of places.

        Owners that have more than an equal share of `most` are cut to that.
        """
        if len(counts) <= most:
            return list(range(len(counts)))
        number_of: dict[Hashable, int] = {}
        numbers = np.array([number_of.setdefault(owner, len(number_of)) for owner in owners], np.int64)
        sizes = np.bincount(numbers)
        order = np.lexsort((-counts, numbers))
        rank = np.arange(len(counts)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        found: list[int] = np.sort(order[rank < max(1, equal_share(sizes.tolist(), most))])[:most].tolist()
        self.left_out[name] = len(counts) - len(found)
        return found

    def largest(
        self, name: str, listed: Sequence[dict[str, Any]], most: int, size: Callable[[dict[str, Any]], float]
    ) -> list[dict[str, Any]]:
        """Return the largest of a list, in the order of the list."""
        counts = np.array([size(item) for item in listed], np.float64)
        return [listed[place] for place in self.busiest(name, counts, [0] * len(listed), most)]

    def shown(self) -> dict[str, Any]:
        """Return the member `cut` of an answer: how many more there are of what; nothing where nothing is cut."""
        return {"cut": dict(self.left_out)} if self.left_out else {}
