"""The messages of a response to a pull: protobuf's sequence, which makes the message current that the program takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from google.pubsub_v1.types import pubsub
from proto.marshal.collections import RepeatedComposite  # type: ignore[import-untyped]

from asyncdsm.integration import ConsumedList, Edge, Pathway
from asyncdsm.integration.batch_iterator import BatchIterator, BatchPathways


def view_messages(
    response: Any, received: list[Any], pathways: Sequence[Pathway | None], edge: Edge, *, is_current: bool
) -> Any:
    """Return the sequence to put in the place of a response's own.

    `received` are its messages, `pathways` theirs, and `edge` is that of all of them. `is_current` says that the only
    message is current already.
    """
    return _ReceivedMessages(response, received, pathways, edge, is_current=is_current)


class _ReceivedMessages(RepeatedComposite):  # type: ignore[misc]
    """A view of `PullResponse.received_messages`, as proto-plus makes one at each access: what changes it changes both.

    Iterating, indexing and `pop` make a message current as `ConsumedList` does, unless `is_current` says that the only
    message is current already. A message is the same object each time, so that `asyncdsm.using` knows it.
    """

    def __init__(
        self, response: Any, received: list[Any], pathways: Sequence[Pathway | None], edge: Edge, *, is_current: bool
    ) -> None:
        self._response = pubsub.PullResponse.pb(response)
        super().__init__(self.pb, marshal=pubsub.PullResponse.meta.marshal)
        self._is_current = is_current
        ack_ids = [each.ack_id for each in self.pb]  # not of `received`: protobuf's own messages tell it sooner
        self._known = dict(zip(ack_ids, received, strict=True))
        self._pathways_by_ack_id = dict(zip(ack_ids, pathways, strict=True))
        self._pathways = BatchPathways()
        self._pathways.add(received, pathways, None if is_current else [edge] * len(received))

    @property
    def pb(self) -> Any:
        """Protobuf's own sequence: another one after the program has assigned to the response."""
        return self._response.received_messages

    def __iter__(self) -> Iterator[Any]:
        messages = iter(_Messages(self))
        return messages if self._is_current else BatchIterator(messages, self._pathways)

    def __reversed__(self) -> Iterator[Any]:
        messages = reversed(_Messages(self))
        return messages if self._is_current else BatchIterator(messages, self._pathways)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            found = super().__getitem__(key)
            return ConsumedList(found, [self._pathways_by_ack_id.get(each.ack_id) for each in found])
        found = self.find_message(key)
        if not self._is_current:
            self._pathways.make_current(found)
        return found

    def find_message(self, index: Any) -> Any:
        """Return a message, and make none current. **Hot**."""
        raw = self.pb[index]
        known = self._known.get(raw.ack_id)
        if known is not None and type(known).pb(known) is raw:
            return known
        found = super().__getitem__(index)
        self._known[raw.ack_id] = found  # the program has assigned the message anew
        self._pathways.add([found], [self._pathways_by_ack_id.get(raw.ack_id)])
        return found

    def index(self, /, *args: Any, **kwargs: Any) -> int:
        return int(self._as_plain().index(*args, **kwargs))

    def count(self, value: Any) -> int:
        return int(self._as_plain().count(value))

    def __contains__(self, value: Any) -> bool:
        return value in self._as_plain()

    def __copy__(self) -> Any:
        return self._as_plain().__copy__()

    def _as_plain(self) -> Any:
        return RepeatedComposite(self.pb, marshal=self._marshal)


class _Messages:
    """The messages as a mere sequence, whose iterators are Python's own."""

    def __init__(self, messages: _ReceivedMessages) -> None:
        self._messages = messages

    def __len__(self) -> int:
        return len(self._messages)

    def __getitem__(self, index: int) -> Any:
        return self._messages.find_message(index)
