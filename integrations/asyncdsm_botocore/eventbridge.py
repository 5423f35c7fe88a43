"""EventBridge: PutEvents. A context stands inside of the event's detail, where that is a JSON object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asyncdsm.core import checkpoint
from asyncdsm.core.edge import Edge
from asyncdsm.integration.formats import aws
from asyncdsm_botocore import slots
from asyncdsm_botocore.departing import (
    NO_OBJECT,
    NO_ROOM,
    OURS,
    Addressed,
    Leaving,
    Message,
    address_each,
    counting,
    failed_places,
    harmless,
    is_followed,
    without_context,
)
from asyncdsm_botocore.limits import MESSAGE, Room


def handlers() -> Mapping[str, Callable[..., None]]:
    """Return the handlers, by their events."""
    return {
        "before-parameter-build.eventbridge.PutEvents": _put_events,
        "after-call.eventbridge.PutEvents": counting(failed_places("Entries")),
    }


@harmless
def _put_events(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    entries = params.get("Entries")
    if isinstance(entries, list | tuple) and is_followed(context):
        room = Room(sum(map(_size, entries)), MESSAGE)
        params["Entries"], context[OURS] = address_each(entries, lambda place, entry: _addressed(place, entry, room))


def _addressed(place: int, entry: Message, room: Room) -> Addressed:
    if not isinstance(entry, dict):
        return entry, None
    edge, detail, size = _edge(entry), entry.get("Detail"), _size(entry)
    slot = slots.in_object(slots.encoded(detail)) if isinstance(detail, str) else None
    if slot is None or slot.is_base64:
        return entry, without_context(place, edge, size, NO_OBJECT)
    needed = slot.size + slots.WIRE_BYTES - aws.byte_count(detail)
    if not room.holds(needed):
        return entry, without_context(place, edge, size, NO_ROOM)
    pending = checkpoint.begin_produce(edge, size - aws.byte_count(detail) + slot.size, 0)
    if pending is None:
        return entry, None
    room.take(needed)
    return {**entry, "Detail": slot.filled(pending[0]).decode()}, Leaving(place, pending, has_context=True)


def _edge(entry: Message) -> Edge:
    bus, kind = entry.get("EventBusName") or "default", entry.get("DetailType") or ""
    return aws.edge("out", "eventbridge", str(kind), f"exchange:{bus}")


def _size(entry: Any) -> int:
    """Return an entry's size as AWS counts it, but for its time."""
    if not isinstance(entry, dict):
        return 0
    resources = entry.get("Resources")
    texts = [entry.get("Source"), entry.get("DetailType"), entry.get("Detail")]
    return sum(map(aws.byte_count, [*texts, *resources] if isinstance(resources, list | tuple) else texts))
