"""EventBridge: PutEvents. A context stands inside of the event's detail, where that is a JSON object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asyncdsm import aws, checkpoint
from asyncdsm_botocore import slots
from asyncdsm_botocore.departing import OURS, Leaving, counting, failed_places, harmless, is_followed, without_context
from asyncdsm_botocore.limits import MESSAGE, Room

Entry = dict[str, Any]


def handlers() -> Mapping[str, Callable[..., None]]:
    """Return the handlers, by their events."""
    return {
        "before-parameter-build.eventbridge.PutEvents": _put_events,
        "after-call.eventbridge.PutEvents": counting(failed_places("Entries")),
    }


@harmless
def _put_events(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    entries = params.get("Entries")
    if not isinstance(entries, list | tuple) or not is_followed(context):
        return
    room = Room(sum(map(_size, entries)), MESSAGE)
    addressed, leaving = list[Entry](), list[Leaving]()
    for place, entry in enumerate(entries):
        event, departing = _addressed(place, entry, room)
        addressed.append(event)
        leaving += departing
    params["Entries"], context[OURS] = addressed, leaving


def _addressed(place: int, entry: Entry, room: Room) -> tuple[Entry, list[Leaving]]:
    if not isinstance(entry, dict):
        return entry, []
    bus, kind, detail = entry.get("EventBusName") or "default", entry.get("DetailType") or "", entry.get("Detail")
    edge = aws.edge("out", "eventbridge", str(kind), f"exchange:{bus}")
    slot = slots.in_object(slots.encoded(detail)) if isinstance(detail, str) else None
    needed = 0 if slot is None else slot.size + slots.WIRE_BYTES - aws.byte_count(detail)
    if slot is None or slot.is_base64 or not room.holds(needed):
        as_it_is = without_context(place, edge, _size(entry))
        return entry, [as_it_is] if as_it_is else []
    departure = checkpoint.prepare(edge, _size({**entry, "Detail": ""}) + slot.size, 0)
    if departure is None:
        return entry, []
    room.take(needed)
    addressed = {**entry, "Detail": slot.filled(departure.wire).decode()}
    return addressed, [Leaving(place, departure, has_context=True)]


def _size(entry: Any) -> int:
    """Return an entry's size as AWS counts it, but for its time."""
    if not isinstance(entry, dict):
        return 0
    resources = entry.get("Resources") or ()
    return sum(aws.byte_count(entry.get(name)) for name in ("Source", "DetailType", "Detail")) + sum(
        map(aws.byte_count, resources)
    )
