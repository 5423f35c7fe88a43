"""`ConsumedList`: the list of several messages that a program gets from a client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any, SupportsIndex, TypeVar, overload

from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import Pathway
from asyncdsm.integration.batch_iterator import BatchIterator, BatchPathways

Message = TypeVar("Message")


class ConsumedList(list[Message]):
    """A list of consumed messages that makes the message current which the program takes. Pickled, it is a plain list.

    Iterating makes each message's pathway current. After the loop, however it ends, the previous pathway is restored. A
    message taken by index, `pop`, `first, *rest = batch` or `next(iter(batch))` becomes current. Slices, `copy`,
    `reversed` and sums that begin with such a list do the same. `sorted`, `list`, a comprehension and `plain + batch`
    return a plain list: there `asyncdsm.using(message)` makes a message current.
    """

    __slots__ = ("_pathways",)

    def __init__(
        self,
        messages: Iterable[Message],
        pathways: Iterable[Pathway | None],
        edges: Iterable[Edge | None] | None = None,
    ) -> None:
        """`pathways` and `edges` are those of the messages, in the same order.

        With edges it is counted how long each message waits in the list until the program takes it, for the first time.
        """
        super().__init__(_as_plain(messages))
        self._pathways = BatchPathways()
        self._pathways.add(super().copy(), pathways, edges)

    def __iter__(self) -> Iterator[Message]:
        return BatchIterator(super().__iter__(), self._pathways)

    def __reversed__(self) -> Iterator[Message]:
        return BatchIterator(super().__reversed__(), self._pathways)

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Message: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[Message]: ...
    def __getitem__(self, index: Any, /) -> Any:
        found = super().__getitem__(index)
        if isinstance(index, slice):
            return _with_pathways(found, self._pathways)
        self._pathways.make_current(found)
        return found

    def pop(self, index: SupportsIndex = -1, /) -> Message:
        message = super().pop(index)
        self._pathways.make_current(message)
        return message

    def copy(self) -> ConsumedList[Message]:
        return _with_pathways(super().copy(), self._pathways)

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> ConsumedList[Message]:
        messages = super().copy()
        pathways = [self._pathways.by_id.get(id(message)) for message in messages]
        return ConsumedList(deepcopy(messages, memo), pathways)

    def __add__(self, other: Any, /) -> Any:
        if not isinstance(other, list):  # an array, for example, or an error
            return super().copy() + other
        return _with_pathways(super().__add__(other), _merge_pathways(self, other))

    # There is no `__radd__`: Python would call it for `plain += batch` too, and `plain` would not be extended.

    def __iadd__(self, other: Iterable[Message], /) -> ConsumedList[Message]:  # type: ignore[override,misc]
        self.extend(other)
        return self

    def extend(self, messages: Iterable[Message], /) -> None:
        if isinstance(messages, ConsumedList):
            self._pathways.merge(messages._pathways)
        super().extend(_as_plain(messages))

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return list, (super().copy(),)


def _as_plain(messages: Iterable[Message]) -> Iterable[Message]:
    """Return messages to iterate without making any of them current."""
    return list.copy(messages) if isinstance(messages, ConsumedList) else messages


def _with_pathways(messages: list[Message], pathways: BatchPathways) -> ConsumedList[Message]:
    made = ConsumedList[Message]((), ())
    list.extend(made, messages)
    made._pathways = pathways
    return made


def _merge_pathways(one: ConsumedList[Any], other: list[Any]) -> BatchPathways:
    if not isinstance(other, ConsumedList) or other._pathways is one._pathways:
        return one._pathways
    merged = BatchPathways()
    merged.merge(one._pathways)
    merged.merge(other._pathways)
    return merged
