"""Messages that a call sends: each gets a checkpoint before the call, counted once the service has accepted it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from asyncdsm.integration import (
    Edge,
    PendingProduce,
    begin_produce,
    ensure_recorder,
    finish_produce,
    guarded,
    record_not_propagated,
    warn_once,
)
from asyncdsm.integration.formats.aws import attribute_pairs
from asyncdsm.integration.formats.json_context import WIRE_BYTES, make_object_slot, remove_context
from asyncdsm.integration.formats.transactions import SQS_PRODUCE, extract_from_pairs

STATE_KEY = "asyncdsm"
"""The key of asyncdsm's state in botocore's context of a call, which all events of that call share."""

NO_ROOM = "it has ten attributes, or nearly the largest size"
NO_OBJECT = "its data is not a JSON object"

KIB, MIB = 1 << 10, 1 << 20
MESSAGE_LIMITS = (256 * KIB, MIB)
"""The largest message or batch of SQS, SNS and EventBridge: the former limit, which many queues have, and today's."""
RECORD_LIMITS = (MIB - 1,)
"""The largest record of Kinesis: below 1 MiB including the context (protocol §3), though a stream may take more."""
REQUEST_LIMITS = (5 * MIB, 10 * MIB)
"""The largest request of Kinesis."""


class Room:
    """How many bytes can be added before a limit is exceeded. A context never makes a message too large."""

    def __init__(self, size: int, limits: Iterable[int]) -> None:
        """`size` is that of the caller's content. A limit that it exceeds already does not apply."""
        self.left: int = min((limit - size for limit in limits if limit >= size), default=0)

    def fits(self, size: int) -> bool:
        """Say whether `size` more bytes can be added."""
        return size <= self.left

    def reserve(self, size: int) -> None:
        """Use up `size` bytes."""
        self.left -= size


class PendingMessage(NamedTuple):
    """A message of a call that has not returned yet."""

    key: Any
    """What identifies the message in a response that reports failures: a batch entry's Id, or its position."""
    pending: PendingProduce
    has_context: bool
    attributes: Mapping[str, Any] | None = None
    """The attributes of a message of SQS, if the id of a transaction may be among them."""


Message = dict[str, Any]
PreparedMessage = tuple[Message, PendingMessage | None]
"""The message to send, a copy if it got a context; and its checkpoint, None if there is none to count."""

FindFailed = Callable[[dict[str, Any]], Collection[Any]]
"""Returns from a response the keys of the messages that the service did not accept."""


def is_call_measured(context: dict[str, Any]) -> bool:
    """Say whether the messages of a call count: not while nothing measures, nor for a URL that is signed for later."""
    return ensure_recorder() is not None and not context.get("is_presign_request")


def begin_without_context(key: Any, edge: Edge, size: int | None, reason: str) -> PendingMessage | None:
    """Return the checkpoint of a message that is sent as it is. There is one warning for each edge."""
    pending = begin_produce(edge, size)
    if pending is None:
        return None
    warn_once(
        f"no-context-{edge.tags}",
        "asyncdsm adds no context to a message, because %s: its pathway ends there, as do those of similar messages "
        "(%s)",
        reason,
        ", ".join(edge.tags),
    )
    return PendingMessage(key, pending, has_context=False)


def begin_json_message(
    key: Any, edge: Edge, data: bytes | None, size: int | None, room: Room, *more_room: Room
) -> tuple[bytes | None, PendingMessage | None]:
    """Return the data with a context in it, or None if it stays as it is; and the checkpoint of its message.

    `data` is None if it cannot be read. `size` is that of the message. A context takes `room`, and must fit into all.
    Where it does not fit, the data is returned without the context that it had, as in a forwarded message.
    """
    slot = None if data is None else make_object_slot(data)
    if slot is None or data is None or size is None:
        return None, begin_without_context(key, edge, size, NO_OBJECT)
    growth = slot.size + WIRE_BYTES - len(data)
    if not all(each.fits(growth) for each in (room, *more_room)):
        without = begin_without_context(key, edge, size, NO_ROOM)
        return None if without is None else remove_context(data), without
    pending = begin_produce(edge, size - len(data) + slot.size, 0)
    if pending is None:
        return None, None
    room.reserve(growth)
    return slot.fill(pending.header), PendingMessage(key, pending, has_context=True)


def encode_or_empty(string: str) -> bytes:
    """Return a string in UTF-8; no bytes for a string with lone surrogates, which botocore will refuse."""
    try:
        return string.encode()
    except UnicodeEncodeError:
        return b""


def prepare_each(
    messages: Sequence[Message], prepare: Callable[[int, Message], PreparedMessage]
) -> tuple[list[Message], list[PendingMessage | None]]:
    """Return the messages of a batch, each prepared given its position, and their checkpoints."""
    prepared = [prepare(position, message) for position, message in enumerate(messages)]
    return [message for message, _ in prepared], [pending for _, pending in prepared]


def count_accepted(find_failed: FindFailed) -> Callable[..., None]:
    """Return a handler of `after-call`, which counts the messages of the call that the service has accepted."""

    @guarded
    def handle(parsed: dict[str, Any], http_response: Any, context: dict[str, Any], **_: Any) -> None:
        messages: list[PendingMessage | None] = context.pop(STATE_KEY, [])
        if messages and http_response.status_code < 300:
            _count_messages(messages, find_failed(parsed))

    return handle


def _count_messages(messages: list[PendingMessage | None], failed: Collection[Any]) -> None:
    for message in messages:
        if message is not None and message.key not in failed:
            finish_produce(message.pending)
            if not message.has_context:
                record_not_propagated()
            if message.attributes:
                extract_from_pairs(SQS_PRODUCE, attribute_pairs(message.attributes))


def no_failures(_: dict[str, Any]) -> Collection[Any]:
    """Return no keys: the response to a single message reports no failures."""
    return ()


def failed_ids(parsed: dict[str, Any]) -> Collection[Any]:
    """Return the Ids of the failed entries, from a response of SQS or SNS to a batch."""
    return [entry.get("Id") for entry in _list_entries(parsed, "Failed")]


def failed_positions(name: str) -> FindFailed:
    """Return what finds failures in a response of Kinesis or EventBridge, whose entries are in the request's order."""

    def find(parsed: dict[str, Any]) -> Collection[Any]:
        return {position for position, entry in enumerate(_list_entries(parsed, name)) if entry.get("ErrorCode")}

    return find


def _list_entries(parsed: dict[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return the entries of a response, which may come from a stub; what is not an entry becomes an empty one."""
    entries = parsed.get(name)
    if not isinstance(entries, list | tuple):
        return []
    return [entry if isinstance(entry, Mapping) else {} for entry in entries]
