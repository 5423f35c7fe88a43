"""The records in which AWS Lambda and EventBridge Pipes pass messages on: the services' own, with other names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.edge import Edge
from asyncdsm.integration.formats import aws
from asyncdsm.integration.formats.aws import MessageInfo
from asyncdsm.integration.formats.json_context import parse_base64

Record = Mapping[str, Any]
"""A message as Lambda documents it. EventBridge Pipes use nearly the same form."""


def to_record(message: Any) -> Record | None:
    """Return a message as a mapping: Lambda's dicts and Powertools' records are one, pydantic models can make one."""
    if isinstance(message, Mapping):
        return message
    dump = getattr(message, "model_dump", None)
    if not callable(dump):
        return None
    try:
        record = dump(by_alias=True)
    except Exception as error:  # a model with a serializer of its own
        report_hook_error(error)
        return None
    return record if isinstance(record, Mapping) else None


def has_source(message: Any) -> bool:
    """Say whether a message names its source, as every record does."""
    record = to_record(message)
    return record is not None and (isinstance(_source_of(record), str) or "detail-type" in record)


def is_of_other_source(record: Record | None) -> bool:
    """Say whether a record is of a source whose messages are not followed, such as S3 or an HTTP API."""
    return record is not None and _find_reader(record) is None and "detail-type" not in record


def _source_of(record: Record) -> Any:
    return record.get("eventSource") or record.get("EventSource")


def read_record(record: Record | None) -> tuple[Edge, MessageInfo] | None:
    """Return the edge that a message has passed, and what it says about itself; None if its shape is not known."""
    if record is None:
        return None
    read = _find_reader(record)
    if read is not None:
        return read(record)
    return _read_eventbridge(record) if "detail-type" in record and "detail" in record else None


def _find_reader(record: Record) -> Callable[[Record], tuple[Edge, MessageInfo] | None] | None:
    source = _source_of(record)
    return _READERS.get(source) if isinstance(source, str) else None


def _read_sqs(record: Record) -> tuple[Edge, MessageInfo] | None:
    info = aws.read_sqs_message(record.get("messageAttributes"), record.get("body"), record.get("attributes"))
    arn = record.get("eventSourceARN")
    return (aws.edges["in", "sqs", aws.queue_name(arn)], info) if isinstance(arn, str) else None


def _read_sns(record: Record) -> tuple[Edge, MessageInfo] | None:
    notification = record.get("Sns")
    arn = notification.get("TopicArn") if isinstance(notification, Mapping) else None
    if not isinstance(notification, Mapping) or not isinstance(arn, str):
        return None
    return aws.edges["in", "sns", arn], aws.read_sns_notification(notification)


def _read_kinesis(record: Record) -> tuple[Edge, MessageInfo] | None:
    content = record.get("kinesis", record)  # a Pipe has these members in the record itself
    arn = record.get("eventSourceARN")
    if not isinstance(content, Mapping) or "data" not in content or not isinstance(arn, str):
        return None
    data, arrival = content["data"], content.get("approximateArrivalTimestamp")
    if isinstance(data, str):  # pydantic's models have bytes, or a model of the user's own
        data = parse_base64(data) or b""
    return aws.edges["in", "kinesis", arn], aws.read_kinesis_record(data, content.get("partitionKey"), arrival)


def _read_eventbridge(event: Record) -> tuple[Edge, MessageInfo] | None:
    kind = event["detail-type"]
    return (aws.edges["in", "eventbridge", kind], aws.read_eventbridge_event(event)) if isinstance(kind, str) else None


_READERS = {"aws:sqs": _read_sqs, "aws:sns": _read_sns, "aws:kinesis": _read_kinesis}
