"""Iterating over the messages of a batch: each becomes current in its turn. Afterwards the previous pathway is."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from asyncdsm.core.checkpoint import current_recorder
from asyncdsm.core.current import set_current, snapshot
from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import Pathway

Message = TypeVar("Message")

_NOWHERE = (0, 0)
_ENDED: Any = object()


class BatchPathways:
    """The pathways of a batch's messages, shared by its list and by the slices and copies of that list."""

    __slots__ = ("by_id", "loops", "messages", "waiting")

    def __init__(self) -> None:
        # By identity, not by index: a list may be sorted, cut and extended.
        self.by_id: dict[int, Pathway | None] = {}
        self.messages: list[Any] = []  # kept alive, so that no other object gets the id of one
        self.waiting: dict[int, Edge] = {}
        """The edges of the messages whose turn has not come yet, by identity."""
        # What each loop made current last, in a list that its iterator shares. By the iterator's id.
        self.loops: dict[int, list[Pathway | None]] = {}

    def add(
        self, messages: list[Any], pathways: Iterable[Pathway | None], edges: Iterable[Edge | None] | None = None
    ) -> None:
        """Add messages with their pathways, and with their edges if it counts how long they wait; in the same order."""
        self.by_id.update(zip(map(id, messages), pathways, strict=True))
        self.messages += messages
        if edges is not None:
            waiting = zip(map(id, messages), edges, strict=True)
            self.waiting.update((key, edge) for key, edge in waiting if edge is not None)

    def merge(self, other: BatchPathways) -> None:
        """Add all of another batch."""
        self.by_id.update(other.by_id)
        self.messages += other.messages
        self.waiting.update(other.waiting)

    def end_wait(self, key: int, pathway: Pathway | None) -> None:
        """Count how long a message waited that the program takes for the first time. `key` is its identity. **Hot**."""
        edge = self.waiting.pop(key, None)
        recorder = current_recorder()
        if edge is not None and pathway is not None and recorder is not None:
            recorder.facts.count_wait(edge, pathway.edge_start_ns)

    def make_current(self, message: Any) -> None:
        """Make a message current that was taken out of the list, unless a loop over the list has made one current.

        A look at a neighbor, `batch[i - 1]`, must not change the parent of what the program produces in the loop.
        """
        current = snapshot()
        if not any(current is made_current[0] for made_current in list(self.loops.values())):
            key = id(message)
            pathway = self.by_id.get(key)
            if key in self.waiting:
                self.end_wait(key, pathway)
            set_current(pathway)


class BatchIterator(Iterator[Message]):
    """An iterator that makes each message current, and restores the previous pathway when it ends or is dropped."""

    __slots__ = ("_before", "_by_id", "_loops", "_made_current", "_messages", "_only_step", "_pathways", "_waiting")

    def __init__(self, messages: Iterator[Message], pathways: BatchPathways) -> None:
        self._messages, self._pathways = messages, pathways
        self._by_id, self._waiting, self._loops = pathways.by_id, pathways.waiting, pathways.loops
        self._before = snapshot()
        self._made_current: list[Any] = [self._before]
        self._only_step: tuple[int, int] | None = _NOWHERE

    def __next__(self) -> Message:
        try:
            message = next(self._messages)
        except StopIteration:
            self._restore_previous()
            raise
        if self._only_step is not None:
            self._record_step(_calling_instruction())
        key = id(message)
        self._made_current[0] = pathway = self._by_id.get(key)
        if key in self._waiting:
            self._pathways.end_wait(key, pathway)
        set_current(pathway)
        return message

    def __length_hint__(self) -> int:
        # `first, *rest = batch` takes one message and collects the others into a list, which calls this method. A loop
        # never does. The first message is the one that the program took, so it stays current.
        if snapshot() is self._made_current[0]:
            self._before = self._made_current[0]
        hint: int = self._messages.__length_hint__()  # type: ignore[attr-defined]
        return hint

    def __del__(self) -> None:
        # `break`, `return` and exceptions drop the iterator: there is no other sign that a loop has ended.
        # `next(iter(batch))` drops it in the very instruction that took the message, and the message stays current. But
        # inside a loop over the batch this is only a look at a neighbor, and the loop's message stays current.
        if self._only_step is not None and self._only_step == _calling_instruction() and not self._is_within_loop():
            self._made_current[0] = _ENDED
        self._restore_previous()

    def __reduce__(self) -> Any:
        return self._messages.__reduce__()

    def __setstate__(self, state: Any) -> None:
        self._messages.__setstate__(state)  # type: ignore[attr-defined]

    def _record_step(self, step: tuple[int, int]) -> None:
        is_first = self._only_step is _NOWHERE
        self._only_step = step if is_first else None
        if is_first:
            self._loops[id(self)] = self._made_current

    def _is_within_loop(self) -> bool:
        others = [made_current for made_current in list(self._loops.values()) if made_current is not self._made_current]
        return any(self._before is made_current[0] for made_current in others)

    def _restore_previous(self) -> None:
        self._loops.pop(id(self), None)
        if snapshot() is self._made_current[0]:
            set_current(self._before)
        self._made_current[0] = _ENDED


def _calling_instruction() -> tuple[int, int]:
    """Return the instruction that the caller's caller executes.

    It is identified by numbers: a reference to the frame would keep the frame's variables alive.
    """
    frame = sys._getframe(2)
    return id(frame), frame.f_lasti
