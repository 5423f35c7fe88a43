"""Kinesis: PutRecord, PutRecords, GetRecords. A context is inside the record's data, if that is a JSON object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asyncdsm.integration import Edge, guarded
from asyncdsm.integration.formats import aws
from asyncdsm_botocore import receive_calls
from asyncdsm_botocore.kinesis_reader import KinesisReader
from asyncdsm_botocore.produce import (
    RECORD_LIMITS,
    REQUEST_LIMITS,
    STATE_KEY,
    Message,
    PreparedMessage,
    Room,
    begin_json_message,
    count_accepted,
    encode_or_empty,
    failed_positions,
    is_call_measured,
    no_failures,
    prepare_each,
)


def make_kinesis_handlers() -> Mapping[str, Callable[..., None]]:
    """Return the handlers for one client or session, by the names of their events."""
    reader = KinesisReader()
    return {
        "creating-client-class.kinesis": receive_calls.hook_new_class,
        "before-parameter-build.kinesis.PutRecord": _put_record,
        "after-call.kinesis.PutRecord": count_accepted(no_failures),
        "before-parameter-build.kinesis.PutRecords": _put_records,
        "after-call.kinesis.PutRecords": count_accepted(failed_positions("Records")),
        "before-parameter-build.kinesis.GetShardIterator": reader.before_get_iterator,
        "after-call.kinesis.GetShardIterator": reader.after_get_iterator,
        "before-parameter-build.kinesis.GetRecords": reader.before_get_records,
        "after-call.kinesis.GetRecords": reader.after_get_records,
    }


@guarded
def _put_record(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    edge = _stream_edge(params)
    if edge is not None and is_call_measured(context):
        record, pending = _prepare_record(0, params, edge, Room(_record_size(params), REQUEST_LIMITS))
        params.update(record)
        context[STATE_KEY] = [pending]


@guarded
def _put_records(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    edge, records = _stream_edge(params), params.get("Records")
    if edge is not None and isinstance(records, list | tuple) and is_call_measured(context):
        room = Room(sum(map(_record_size, records)), REQUEST_LIMITS)
        params["Records"], context[STATE_KEY] = prepare_each(
            records, lambda position, record: _prepare_record(position, record, edge, room)
        )


def _prepare_record(position: int, record: Message, edge: Edge, room: Room) -> PreparedMessage:
    if not isinstance(record, dict):
        return record, None
    data = _data_of(record)
    size = None if data is None else len(data) + aws.byte_count(record.get("PartitionKey"))
    changed, pending = begin_json_message(position, edge, data, size, room, Room(size or 0, RECORD_LIMITS))
    return (record if changed is None else {**record, "Data": changed}), pending


def _stream_edge(params: dict[str, Any]) -> Edge | None:
    stream = params.get("StreamARN") or params.get("StreamName")
    return aws.edges["out", "kinesis", stream] if isinstance(stream, str) else None


def _data_of(record: Message) -> bytes | None:
    """Return a record's data; None for a file or another stream, which must not be read here."""
    data = record.get("Data")
    if isinstance(data, str):
        return encode_or_empty(data)
    return bytes(data) if isinstance(data, bytes | bytearray) else None


def _record_size(record: Any) -> int:
    if not isinstance(record, dict):
        return 0
    return aws.byte_count(record.get("Data")) + aws.byte_count(record.get("PartitionKey"))
