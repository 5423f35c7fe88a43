"""A bounded set of things that belong to owners, in which one owner cannot take the room of the others."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Generic, TypeVar

Owner = TypeVar("Owner")
Item = TypeVar("Item")


class FairShares(Generic[Owner, Item]):
    """Items by owner, which weigh at most `most` in all. Not safe for threads.

    Beyond, those used longest ago go, and only those of owners that have more than an equal share: max-min fairness.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: OrderedDict[Owner, OrderedDict[Item, int]] = OrderedDict()
        self._weights: dict[Owner, int] = {}
        self._total = 0

    @property
    def weight(self) -> int:
        """What all items weigh."""
        return self._total

    def use(self, owner: Owner, item: Item, weight: int = 1) -> list[Item]:
        """Note that an item was used now; return those that had to go to make room for it.

        It keeps the weight that it had when it was used first. One that weighs more than the share of its owner goes
        at once.
        """
        items = self._items.setdefault(owner, OrderedDict())
        self._items.move_to_end(owner)
        if item in items:
            items.move_to_end(item)
            return []
        items[item] = weight
        self._add(owner, weight)
        return self._evict() if self._total > self._most else []

    def drop(self, owner: Owner, item: Item) -> None:
        """Let go of one item, where it is known."""
        items = self._items.get(owner)
        if items is not None and item in items:
            self._add(owner, -items.pop(item))
            if not items:
                self.drop_owner(owner)

    def drop_owner(self, owner: Owner) -> list[Item]:
        """Let go of an owner; return its items."""
        items = list(self._items.pop(owner, ()))
        self._total -= self._weights.pop(owner, 0)
        return items

    def _add(self, owner: Owner, weight: int) -> None:
        self._weights[owner] = self._weights.get(owner, 0) + weight
        self._total += weight

    def _drop_oldest(self, owner: Owner) -> Item:
        item, weight = self._items[owner].popitem(last=False)
        self._add(owner, -weight)
        return item

    def _evict(self) -> list[Item]:
        """Make room for a hundredth more than needed, so that it need not be done for each item."""
        keep = max(1, self._most - self._most // 100)
        level = equal_share(self._weights.values(), keep)
        gone = list[Item]()
        for owner in self._items:  # a level is a whole number: each owner keeps one more, as far as that goes
            while self._weights[owner] > level + 1:
                gone.append(self._drop_oldest(owner))
        for owner in list(self._items):
            if self._total > keep and self._weights[owner] > level:
                gone.append(self._drop_oldest(owner))
            if not self._items[owner]:
                self.drop_owner(owner)
        return gone


def equal_share(sizes: Iterable[int], keep: int) -> int:
    """Return the largest level for which sizes, none of which is above it, add up to `keep` at most."""
    left, ordered = keep, sorted(sizes)
    for place, size in enumerate(ordered):
        share = left // (len(ordered) - place)
        if size > share:
            return share
        left -= size
    return ordered[-1] if ordered else 0
