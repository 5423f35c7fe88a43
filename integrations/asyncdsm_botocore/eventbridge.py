"""EventBridge: PutEvents. A context is inside the event's detail, if that is a JSON object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asyncdsm.integration import Edge, guarded
from asyncdsm.integration.formats import aws
from asyncdsm_botocore.produce import (
    MESSAGE_LIMITS,
    STATE_KEY,
    Message,
    PreparedMessage,
    Room,
    begin_json_message,
    count_accepted,
    encode_or_empty,
    failed_positions,
    is_call_measured,
    prepare_each,
)


def make_eventbridge_handlers() -> Mapping[str, Callable[..., None]]:
    """Return the handlers, by the names of their events."""
    return {
        "before-parameter-build.eventbridge.PutEvents": _put_events,
        "after-call.eventbridge.PutEvents": count_accepted(failed_positions("Entries")),
    }


@guarded
def _put_events(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    entries = params.get("Entries")
    if isinstance(entries, list | tuple) and is_call_measured(context):
        room = Room(sum(map(_entry_size, entries)), MESSAGE_LIMITS)
        params["Entries"], context[STATE_KEY] = prepare_each(
            entries, lambda position, entry: _prepare_entry(position, entry, room)
        )


def _prepare_entry(position: int, entry: Message, room: Room) -> PreparedMessage:
    if not isinstance(entry, dict):
        return entry, None
    data, detail = None, entry.get("Detail")
    if isinstance(detail, str) and detail.lstrip().startswith("{"):  # not an object in base64
        data = encode_or_empty(detail)
    changed, pending = begin_json_message(position, _event_edge(entry), data, _entry_size(entry), room)
    return (entry if changed is None else {**entry, "Detail": changed.decode()}), pending


def _event_edge(entry: Message) -> Edge:
    bus, kind = entry.get("EventBusName") or "default", entry.get("DetailType") or ""
    return aws.edges["out", "eventbridge", str(kind), f"exchange:{bus}"]


def _entry_size(entry: Any) -> int:
    """Return the size of an entry as AWS counts it, without its time."""
    if not isinstance(entry, dict):
        return 0
    resources = entry.get("Resources")
    strings = [entry.get("Source"), entry.get("DetailType"), entry.get("Detail")]
    return sum(map(aws.byte_count, [*strings, *resources] if isinstance(resources, list | tuple) else strings))
