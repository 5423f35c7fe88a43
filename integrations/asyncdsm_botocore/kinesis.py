"""Kinesis: PutRecord, PutRecords, and what a consumer reads. A context stands inside of data that is a JSON object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asyncdsm.core import checkpoint
from asyncdsm.core.edge import Edge
from asyncdsm.integration.formats import aws
from asyncdsm_botocore import asking, slots
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
    none_failed,
    without_context,
)
from asyncdsm_botocore.limits import RECORD, RECORDS, Room
from asyncdsm_botocore.shards import Reader


def handlers() -> Mapping[str, Callable[..., None]]:
    """Return the handlers, by their events."""
    reader = Reader()
    return {
        "creating-client-class.kinesis": asking.on_class,
        "before-parameter-build.kinesis.PutRecord": _put_record,
        "after-call.kinesis.PutRecord": counting(none_failed),
        "before-parameter-build.kinesis.PutRecords": _put_records,
        "after-call.kinesis.PutRecords": counting(failed_places("Records")),
        "before-parameter-build.kinesis.GetShardIterator": reader.ask_iterator,
        "after-call.kinesis.GetShardIterator": reader.given_iterator,
        "before-parameter-build.kinesis.GetRecords": reader.ask,
        "after-call.kinesis.GetRecords": reader.received,
    }


@harmless
def _put_record(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    edge = _edge(params)
    if edge is not None and is_followed(context):
        record, leaving = _addressed(0, params, edge, Room(_size(params), RECORDS))
        params.update(record)
        context[OURS] = [leaving]


@harmless
def _put_records(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    edge, records = _edge(params), params.get("Records")
    if edge is not None and isinstance(records, list | tuple) and is_followed(context):
        room = Room(sum(map(_size, records)), RECORDS)
        params["Records"], context[OURS] = address_each(
            records, lambda place, record: _addressed(place, record, edge, room)
        )


def _addressed(place: int, record: Message, edge: Edge, room: Room) -> Addressed:
    if not isinstance(record, dict):
        return record, None
    data, key_size = _data(record), aws.byte_count(record.get("PartitionKey"))
    if data is None:
        return record, without_context(place, edge, None, NO_OBJECT)
    slot = slots.in_object(data)
    if slot is None:
        return record, without_context(place, edge, len(data) + key_size, NO_OBJECT)
    needed = slot.size + slots.WIRE_BYTES - len(data)
    if not (room.holds(needed) and Room(len(data) + key_size, RECORD).holds(needed)):
        return record, without_context(place, edge, len(data) + key_size, NO_ROOM)
    pending = checkpoint.begin_produce(edge, slot.size + key_size, 0)
    if pending is None:
        return record, None
    room.take(needed)
    return {**record, "Data": slot.filled(pending[0])}, Leaving(place, pending, has_context=True)


def _edge(params: dict[str, Any]) -> Edge | None:
    stream = params.get("StreamARN") or params.get("StreamName")
    return aws.edge("out", "kinesis", stream) if isinstance(stream, str) else None


def _data(record: Any) -> bytes | None:
    """Return a record's data; None for what is still to be read, which stays unread."""
    data = record.get("Data")
    if isinstance(data, str):
        return slots.encoded(data)
    return bytes(data) if isinstance(data, bytes | bytearray) else None


def _size(record: Any) -> int:
    if not isinstance(record, dict):
        return 0
    return aws.byte_count(record.get("Data")) + aws.byte_count(record.get("PartitionKey"))
