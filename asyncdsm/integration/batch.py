"""Several messages received at once: which of them is current, and how a list of them is followed.

`follow_batch` decides what a client hands to the program. One message alone is current at once, and its list stays a
plain one. Of several, none is current until the program takes one from the `ConsumedList` that it is given.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from threading import current_thread, main_thread
from typing import Any, SupportsIndex, TypeVar, overload

from asyncdsm.core.current import set_current, snapshot
from asyncdsm.core.pathway import Context

Message = TypeVar("Message")
Key = TypeVar("Key")


def current_task() -> Any | None:
    """Return the running asyncio task, None outside of one."""
    asyncio = sys.modules.get("asyncio")
    try:
        return None if asyncio is None else asyncio.current_task()
    except RuntimeError:  # no event loop runs in this thread
        return None


def reaches_caller(asked_in: Any | None = None) -> bool:
    """Say whether what becomes current here is current for the program that asked for the messages.

    `asked_in` is the task in which the client was called, where that is known. It is not the running one under
    `create_task`, `gather` and, before Python 3.12, `asyncio.wait_for`. A thread other than the main one may belong to
    a pool (`asyncio.to_thread`, `run_in_executor`): then the caller is elsewhere, and the thread outlives the call.
    """
    task = current_task()
    if task is not None:
        return asked_in is None or asked_in is task
    return current_thread() is main_thread()


def follow_batches(
    batches: Mapping[Key, list[Message]],
    pathways: Mapping[Key, list[Context | None]],
    asked_in: Any | None = None,
) -> dict[Key, list[Message]]:
    """Return the lists to hand to the program, as `follow_batch` does, where one answer has several of them."""
    if sum(map(len, batches.values())) == 1:
        return {key: follow_batch(messages, pathways[key], asked_in) for key, messages in batches.items() if messages}
    set_current(None)
    return {key: ConsumedList(messages, pathways[key]) for key, messages in batches.items()}


def follow_batch(messages: list[Message], pathways: list[Context | None], asked_in: Any | None = None) -> list[Message]:
    """Return the list to hand to the program, and make its only message current, or none.

    `pathways` are those of the messages, in the same order. `asked_in` is explained at `reaches_caller`.
    """
    if len(messages) == 1 and reaches_caller(asked_in):
        set_current(pathways[0])
        return messages
    set_current(None)
    return ConsumedList(messages, pathways) if messages else messages


class _Pathways:
    """The pathways of a batch's messages, shared by its list and by the slices and copies of that list."""

    __slots__ = ("by_id", "loops", "messages")

    def __init__(self) -> None:
        # By identity, not by place: a list may be sorted, cut and extended.
        self.by_id: dict[int, Context | None] = {}
        self.messages: list[Any] = []  # kept alive, or another object could get the id of one
        self.loops: dict[int, list[Context | None]] = {}  # by an iterator's id: what it made current last, in a list

    def add(self, messages: list[Any], pathways: Iterable[Context | None]) -> None:
        """Add messages with their pathways, in the same order."""
        self.by_id.update(zip(map(id, messages), pathways, strict=True))
        self.messages += messages

    def merge(self, other: _Pathways) -> None:
        """Add all of another batch."""
        self.by_id.update(other.by_id)
        self.messages += other.messages

    def take(self, message: Any) -> None:
        """Make a message current that was taken out of the list, unless a loop over the list has made its own so.

        A look at a neighbour, `batch[i - 1]`, must not change the parent of what the loop's message leads to.
        """
        current = snapshot()
        if not any(current is made_current[0] for made_current in list(self.loops.values())):
            set_current(self.by_id.get(id(message)))


class ConsumedList(list[Message]):
    """A list of consumed messages. In every way a list; pickled, it is a plain one.

    Iterating it makes each message's pathway the current one; after the loop, however it ends, the previous pathway is
    restored. A message taken by index, `pop`, `first, *rest = batch` or `next(iter(batch))` becomes current. Slices,
    `copy`, `reversed` and sums that begin with such a list do the same. What `sorted`, `list`, a comprehension or
    `plain + batch` make is a plain list: there `asyncdsm.using(message)` makes a message current.
    """

    __slots__ = ("_pathways",)

    def __init__(self, messages: Iterable[Message], pathways: Iterable[Context | None]) -> None:
        """`pathways` are those of the messages, in the same order."""
        super().__init__(_unfollowed(messages))
        self._pathways = _Pathways()
        self._pathways.add(super().copy(), pathways)

    def __iter__(self) -> Iterator[Message]:
        return _Following(super().__iter__(), self._pathways)

    def __reversed__(self) -> Iterator[Message]:
        return _Following(super().__reversed__(), self._pathways)

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Message: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[Message]: ...
    def __getitem__(self, index: Any, /) -> Any:
        found = super().__getitem__(index)
        if isinstance(index, slice):
            return _with_pathways(found, self._pathways)
        self._pathways.take(found)
        return found

    def pop(self, index: SupportsIndex = -1, /) -> Message:
        message = super().pop(index)
        self._pathways.take(message)
        return message

    def copy(self) -> ConsumedList[Message]:
        return _with_pathways(super().copy(), self._pathways)

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> ConsumedList[Message]:
        messages = super().copy()
        pathways = [self._pathways.by_id.get(id(message)) for message in messages]
        return ConsumedList(deepcopy(messages, memo), pathways)

    def __add__(self, other: Any, /) -> Any:
        if not isinstance(other, list):  # an array, say, or an error
            return super().copy() + other
        return _with_pathways(super().__add__(other), _joined(self, other))

    # There is no `__radd__`: Python would call it for `plain += batch` too, and `plain` would not be extended.

    def __iadd__(self, other: Iterable[Message], /) -> ConsumedList[Message]:  # type: ignore[override,misc]
        self.extend(other)
        return self

    def extend(self, messages: Iterable[Message], /) -> None:
        if isinstance(messages, ConsumedList):
            self._pathways.merge(messages._pathways)
        super().extend(_unfollowed(messages))

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return list, (super().copy(),)


def _unfollowed(messages: Iterable[Message]) -> Iterable[Message]:
    """Return messages to be put into another list, of which none becomes current meanwhile."""
    return list.copy(messages) if isinstance(messages, ConsumedList) else messages


def _with_pathways(messages: list[Message], pathways: _Pathways) -> ConsumedList[Message]:
    made = ConsumedList[Message]((), ())
    list.extend(made, messages)
    made._pathways = pathways
    return made


def _joined(one: ConsumedList[Any], other: list[Any]) -> _Pathways:
    if not isinstance(other, ConsumedList) or other._pathways is one._pathways:
        return one._pathways
    joined = _Pathways()
    joined.merge(one._pathways)
    joined.merge(other._pathways)
    return joined


_NOWHERE = (0, 0)
_ENDED: Any = object()


class _Following(Iterator[Message]):
    """An iterator that makes each message current, and restores the previous pathway when it ends or is dropped."""

    __slots__ = ("_before", "_by_id", "_loops", "_made_current", "_messages", "_only_step")

    def __init__(self, messages: Iterator[Message], pathways: _Pathways) -> None:
        self._messages, self._by_id, self._loops = messages, pathways.by_id, pathways.loops
        self._before = snapshot()
        self._made_current: list[Any] = [self._before]
        self._only_step: tuple[int, int] | None = _NOWHERE

    def __next__(self) -> Message:
        try:
            message = next(self._messages)
        except StopIteration:
            self._end()
            raise
        if self._only_step is not None:
            self._note_step(_place())
        self._made_current[0] = pathway = self._by_id.get(id(message))
        set_current(pathway)
        return message

    def __length_hint__(self) -> int:
        # `first, *rest = batch` takes one message and collects the others into a list, which asks for this (a loop
        # never does): the first one is the message that was taken, and stays current.
        if snapshot() is self._made_current[0]:
            self._before = self._made_current[0]
        hint: int = self._messages.__length_hint__()  # type: ignore[attr-defined]
        return hint

    def __del__(self) -> None:
        # `break`, `return` and exceptions drop the iterator where the loop was: the only sign that it ended. In
        # `next(iter(batch))` it is dropped by the very instruction that took the message, which stays current. Within a
        # loop over the batch that is a look at a neighbour, and the loop's message stays so.
        if self._only_step is not None and self._only_step == _place() and not self._is_within_loop():
            self._made_current[0] = _ENDED
        self._end()

    def __reduce__(self) -> Any:
        return self._messages.__reduce__()

    def __setstate__(self, state: Any) -> None:
        self._messages.__setstate__(state)  # type: ignore[attr-defined]

    def _note_step(self, place: tuple[int, int]) -> None:
        is_first = self._only_step is _NOWHERE
        self._only_step = place if is_first else None
        if is_first:
            self._loops[id(self)] = self._made_current

    def _is_within_loop(self) -> bool:
        others = [made_current for made_current in list(self._loops.values()) if made_current is not self._made_current]
        return any(self._before is made_current[0] for made_current in others)

    def _end(self) -> None:
        self._loops.pop(id(self), None)
        if snapshot() is self._made_current[0]:
            set_current(self._before)
        self._made_current[0] = _ENDED


def _place() -> tuple[int, int]:
    """Return the instruction that the caller's caller executes. No frame is kept: it would keep what it holds alive."""
    frame = sys._getframe(2)
    return id(frame), frame.f_lasti
