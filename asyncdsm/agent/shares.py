"""A bounded set of things that belong to owners, in which one owner cannot take the room of the others."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Generic, TypeVar

Owner = TypeVar("Owner")
Item = TypeVar("Item")


class FairShares(Generic[Owner, Item]):
    """Items by owner, at most `most` in all. Not safe for threads.

    Beyond, those used longest ago go, and only those of owners that have more than an equal share: max-min fairness.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: OrderedDict[Owner, OrderedDict[Item, None]] = OrderedDict()
        self._total = 0

    def __len__(self) -> int:
        return self._total

    def use(self, owner: Owner, item: Item) -> list[Item]:
        """Note that an item was used now; return those that had to go to make room for it."""
        items = self._items.setdefault(owner, OrderedDict())
        self._items.move_to_end(owner)
        if item in items:
            items.move_to_end(item)
            return []
        items[item] = None
        self._total += 1
        return self._evict() if self._total > self._most else []

    def drop(self, owner: Owner, item: Item) -> None:
        """Let go of one item, where it is known."""
        items = self._items.get(owner)
        if items is not None and item in items:
            del items[item]
            self._total -= 1
            if not items:
                del self._items[owner]

    def drop_owner(self, owner: Owner) -> list[Item]:
        """Let go of an owner; return its items."""
        items = list(self._items.pop(owner, ()))
        self._total -= len(items)
        return items

    def _evict(self) -> list[Item]:
        """Make room for a hundredth more than needed, so that it need not be done for each item."""
        keep = max(1, self._most - self._most // 100)
        level = equal_share((len(items) for items in self._items.values()), keep)
        gone = list[Item]()
        for items in self._items.values():  # a level is a whole number: each owner keeps one more, as far as that goes
            gone += [items.popitem(last=False)[0] for _ in range(len(items) - level - 1)]
        for owner in list(self._items):
            if self._total - len(gone) <= keep:
                break
            if len(self._items[owner]) > level:
                gone.append(self._items[owner].popitem(last=False)[0])
            if not self._items[owner]:
                del self._items[owner]
        self._total -= len(gone)
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
