"""A bounded set of items that belong to owners, in which no owner can take the room of the others."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from sys import getsizeof
from typing import Generic, TypeVar

Owner = TypeVar("Owner")
Item = TypeVar("Item")
UNIT_BYTES = 512
"""The names of an ordinary point or backlog take fewer bytes, so that it has the weight 1."""


def measure_names(names: Iterable[str]) -> int:
    """Return how many bytes names take: in memory or in UTF-8, whichever is more."""
    return sum(max(getsizeof(name), len(name.encode())) for name in names)


def weigh_names(names: Iterable[str]) -> int:
    """Return the weight of an item with these names: 1, and 1 more for each `UNIT_BYTES` that they take.

    Weights bound the store in bytes; a number of items alone would not, since names may be long.
    """
    return 1 + measure_names(names) // UNIT_BYTES


class FairShares(Generic[Owner, Item]):
    """Items by owner, whose weights add up to at most `max_weight`. Not safe for threads.

    If they weigh more, the least recently used items are evicted, but only those of owners that have more than an
    equal share (max-min fairness).
    """

    def __init__(self, max_weight: int) -> None:
        self._max_weight = max_weight
        self._items: OrderedDict[Owner, OrderedDict[Item, int]] = OrderedDict()
        self._weights: dict[Owner, int] = {}
        self._total = 0

    @property
    def weight(self) -> int:
        """The weight of all items."""
        return self._total

    def use(self, owner: Owner, item: Item, weight: int = 1) -> list[Item]:
        """Record that an item is used now, and return the items that are evicted to make room for it.

        A known item keeps the weight that it was added with. An item that weighs more than the share of its owner is
        evicted at once.
        """
        items = self._items.get(owner)
        if items is None:
            items = self._items[owner] = OrderedDict()
        self._items.move_to_end(owner)
        if item in items:
            items.move_to_end(item)
            return []
        items[item] = weight
        self._add_weight(owner, weight)
        return self._evict() if self._total > self._max_weight else []

    def remove(self, owner: Owner, item: Item) -> None:
        """Remove an item, if it is known."""
        items = self._items.get(owner)
        if items is not None and item in items:
            self._add_weight(owner, -items.pop(item))
            if not items:
                self.remove_owner(owner)

    def remove_owner(self, owner: Owner) -> list[Item]:
        """Remove an owner, and return the items that it had."""
        items = list(self._items.pop(owner, ()))
        self._total -= self._weights.pop(owner, 0)
        return items

    def _add_weight(self, owner: Owner, weight: int) -> None:
        self._weights[owner] = self._weights.get(owner, 0) + weight
        self._total += weight

    def _evict_oldest(self, owner: Owner) -> Item:
        item, weight = self._items[owner].popitem(last=False)
        self._add_weight(owner, -weight)
        return item

    def _evict(self) -> list[Item]:
        """Evict a hundredth more than necessary, so that not every new item needs an eviction."""
        keep = max(1, self._max_weight - self._max_weight // 100)
        share = equal_share(self._weights.values(), keep)
        evicted = list[Item]()
        for owner in self._items:  # the share is rounded down: owners keep 1 more as long as there is room
            while self._weights[owner] > share + 1:
                evicted.append(self._evict_oldest(owner))
        for owner in list(self._items):
            if self._total > keep and self._weights[owner] > share:
                evicted.append(self._evict_oldest(owner))
            if not self._items[owner]:
                self.remove_owner(owner)
        return evicted


class FairAdmission(Generic[Owner, Item]):
    """Admits items of owners until there are `most`, and then only those of owners that have less than an equal share.

    At twice as many, it admits no new one. What was admitted once stays so. Not safe for threads.
    """

    def __init__(self, most: int) -> None:
        self._most, self._total = most, 0
        self._items: dict[Owner, set[Item]] = {}

    def admit(self, owner: Owner, item: Item) -> bool:
        """Return whether an item is admitted."""
        items = self._items.get(owner, set())
        if item in items:
            return True
        owners = len(self._items) + (not items)
        if self._total >= self._most and (len(items) >= self._most // owners or self._total >= 2 * self._most):
            return False
        self._items.setdefault(owner, items).add(item)
        self._total += 1
        return True


def equal_share(sizes: Iterable[int], keep: int) -> int:
    """Return the largest share for which all sizes, each cut to that share, add up to at most `keep`."""
    left, ordered = keep, sorted(sizes)
    for place, size in enumerate(ordered):
        share = left // (len(ordered) - place)
        if size > share:
            return share
        left -= size
    return ordered[-1] if ordered else 0
