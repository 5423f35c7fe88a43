"""Several messages received at once: a list that makes each message current in turn while it is iterated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from asyncdsm.checkpoint import set_current, standing
from asyncdsm.pathway import Context

Message = TypeVar("Message")


class ConsumedList(list[Message]):
    """A list of consumed messages. In every way a list; pickled and copied, it is a plain one.

    Iterating it makes each message's pathway the current one; behind the loop, however it ends, that is current
    again which was before. Messages taken out by index are made current by `asyncdsm.using(message)`.
    """

    __slots__ = ("_pathways",)

    def __init__(self, messages: Iterable[Message], pathways: Iterable[Context | None]) -> None:
        """`pathways` are those of the messages, in the same order."""
        super().__init__(messages)
        # By identity, not by place: a list may be sorted, cut and extended.
        self._pathways = {id(message): pathway for message, pathway in zip(super().__iter__(), pathways, strict=True)}

    def __iter__(self) -> Iterator[Message]:
        return _Following(super().__iter__(), self._pathways)

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return list, (list(super().__iter__()),)


class _Following(Iterator[Message]):
    __slots__ = ("_before", "_made_current", "_messages", "_pathways")

    def __init__(self, messages: Iterator[Message], pathways: dict[int, Context | None]) -> None:
        self._messages, self._pathways = messages, pathways
        self._before = self._made_current = standing()

    def __next__(self) -> Message:
        try:
            message = next(self._messages)
        except StopIteration:
            self._leave()
            raise
        self._made_current = self._pathways.get(id(message))
        set_current(self._made_current)
        return message

    def __del__(self) -> None:
        # `break`, `return` and exceptions drop the iterator where the loop stood: the only sign that it ended.
        self._leave()

    def _leave(self) -> None:
        if standing() is self._made_current:
            set_current(self._before)
