"""Kinesis: PutRecord, PutRecords, and what a consumer reads. A context stands inside of data that is a JSON object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asyncdsm import aws, checkpoint
from asyncdsm.edge import Edge
from asyncdsm_botocore import slots
from asyncdsm_botocore.departing import (
    OURS,
    Leaving,
    counting,
    failed_places,
    harmless,
    is_followed,
    none_failed,
    without_context,
)
from asyncdsm_botocore.limits import RECORD, RECORDS, Room
from asyncdsm_botocore.shards import Reader

Record = dict[str, Any]


def handlers() -> Mapping[str, Callable[..., None]]:
    """Return the handlers, by their events."""
    reader = Reader()
    return {
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
        record, context[OURS] = _addressed(0, params, edge, Room(_size(params), RECORDS))
        params.update(record)


@harmless
def _put_records(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    edge, records = _edge(params), params.get("Records")
    if edge is None or not isinstance(records, list | tuple) or not is_followed(context):
        return
    room = Room(sum(map(_size, records)), RECORDS)
    addressed, leaving = list[Record](), list[Leaving]()
    for place, record in enumerate(records):
        sent, departing = _addressed(place, record, edge, room)
        addressed.append(sent)
        leaving += departing
    params["Records"], context[OURS] = addressed, leaving


def _addressed(place: int, record: Record, edge: Edge, room: Room) -> tuple[Record, list[Leaving]]:
    if not isinstance(record, dict):
        return record, []
    data, key_size = _data(record), aws.byte_count(record.get("PartitionKey"))
    slot = None if data is None else slots.in_object(data)
    needed = 0 if data is None or slot is None else slot.size + slots.WIRE_BYTES - len(data)
    if data is None or slot is None or not (room.holds(needed) and Room(_size(record), RECORD).holds(needed)):
        as_it_is = without_context(place, edge, None if data is None else len(data) + key_size)
        return record, [as_it_is] if as_it_is else []
    departure = checkpoint.prepare(edge, slot.size + key_size, 0)
    if departure is None:
        return record, []
    room.take(needed)
    addressed = {**record, "Data": slot.filled(departure.wire)}
    return addressed, [Leaving(place, departure, has_context=True)]


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
