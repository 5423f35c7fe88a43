"""The shapes in which AWS Lambda and EventBridge Pipes hand messages on: the services' own, with other names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.edge import Edge
from asyncdsm.integration.formats import aws
from asyncdsm.integration.formats.aws import Arrival
from asyncdsm.integration.formats.json_context import from_base64

_SOURCES = ("aws:sqs", "aws:sns", "aws:kinesis")


def read(message: Any) -> tuple[Edge, Arrival] | None:
    """Return the edge that a message has passed and what it says of itself, by the names that Lambda documents.

    `message` is a mapping, as Lambda's dicts and Powertools' records are, or a pydantic model. None for anything else.
    """
    record = _mapping_of(message)
    if record is None:
        return None
    source = _source_of(record)
    if source == "aws:sqs":
        return _of_sqs(record)
    if source == "aws:sns":
        return _of_sns(record)
    if source == "aws:kinesis":
        return _of_kinesis(record)
    return _of_eventbridge(record) if "detail-type" in record and "detail" in record else None


def is_of_other_source(message: Any) -> bool:
    """Say whether this is an event or a record of a source whose messages are not followed, as S3 or an HTTP API."""
    record = _mapping_of(message)
    return record is not None and _source_of(record) not in _SOURCES and "detail-type" not in record


def is_record(thing: Any) -> bool:
    """Say whether this says which source it is from, as all records do."""
    record = _mapping_of(thing)
    return record is not None and (isinstance(_source_of(record), str) or "detail-type" in record)


def _mapping_of(message: Any) -> Mapping[str, Any] | None:
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


def _source_of(record: Mapping[str, Any]) -> Any:
    return record.get("eventSource") or record.get("EventSource")


def _of_sqs(record: Mapping[str, Any]) -> tuple[Edge, Arrival] | None:
    arrival = aws.queued(record.get("messageAttributes"), record.get("body"), record.get("attributes"))
    arn = record.get("eventSourceARN")
    return (aws.edge("in", "sqs", aws.queue_name(arn)), arrival) if isinstance(arn, str) else None


def _of_sns(record: Mapping[str, Any]) -> tuple[Edge, Arrival] | None:
    notification = record.get("Sns")
    arn = notification.get("TopicArn") if isinstance(notification, Mapping) else None
    if not isinstance(notification, Mapping) or not isinstance(arn, str):
        return None
    return aws.edge("in", "sns", arn), aws.notified(notification)


def _of_kinesis(record: Mapping[str, Any]) -> tuple[Edge, Arrival] | None:
    content = record.get("kinesis", record)  # a Pipe has its members in the record itself
    arn = record.get("eventSourceARN")
    if not isinstance(content, Mapping) or "data" not in content or not isinstance(arn, str):
        return None
    arrived = content.get("approximateArrivalTimestamp")
    return aws.edge("in", "kinesis", arn), aws.streamed(_data(content["data"]), content.get("partitionKey"), arrived)


def _data(data: Any) -> Any:
    """Return a record's data; pydantic's models have it as bytes already, or as a model of the user's own."""
    return (from_base64(data) or b"") if isinstance(data, str) else data


def _of_eventbridge(event: Mapping[str, Any]) -> tuple[Edge, Arrival] | None:
    kind = event["detail-type"]
    return (aws.edge("in", "eventbridge", kind), aws.happened(event)) if isinstance(kind, str) else None
