"""The events that an AWS Lambda function is called with: messages of SQS, SNS, Kinesis and EventBridge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import GeneratorType
from typing import Any

from asyncdsm._internal.log import warn_once
from asyncdsm.core import checkpoint, current
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import Context
from asyncdsm.integration.consumed_list import ConsumedList
from asyncdsm.integration.formats import aws
from asyncdsm.integration.formats.aws import MessageInfo
from asyncdsm.integration.formats.json_context import parse_base64

Record = Mapping[str, Any]
"""A message as Lambda documents it. EventBridge Pipes use nearly the same form."""


def consume_lambda_event(event: Any) -> list[Any]:
    """Record the messages that a Lambda function was called with, and return them as a list to work through.

    `event` is Lambda's own dict, an event class of Powertools, a pydantic model, or the list that an EventBridge Pipe
    passes. The list contains the event's records, of SQS, SNS or Kinesis, in the types that `event` has for them; or
    the event itself, if it is of EventBridge or of another source, which is not recorded. A single message is current
    at once; of several, each is current in turn while the list is iterated. An object in no known shape is logged once
    for its type, and counted as malformed.
    """
    current.set_current(None)  # the previous call's pathway
    messages = _list_messages(event)
    try:
        if checkpoint.ensure_recorder() is None:
            return messages
        pathways = [_consume_record(message) for message in messages]
        if len(messages) == 1:  # the program itself has called this: no other task or thread waits for the message
            current.set_current(pathways[0])
            return messages
        current.set_current(None)
        return ConsumedList(messages, pathways) if messages else messages
    except Exception as error:
        current.set_current(None)
        report_hook_error(error)
        return messages


def find_lambda_pathway(message: Any) -> Context | None:
    """Return the pathway of a message of such an event, and record nothing; None for any other object."""
    found = _read_record(_as_record(message))
    if found is None:
        return None
    edge, info = found
    return checkpoint.peek_consume(edge, info.header, info.broker_ns)


def _list_messages(event: Any) -> list[Any]:
    if isinstance(event, GeneratorType):  # the `records` of Powertools' classes
        return list(event)
    try:
        records = _list_records(event)
    except Exception as error:  # a class with properties of its own
        report_hook_error(error)
        records = None
    return [event] if records is None else records


def _list_records(event: Any) -> list[Any] | None:
    """Return an event's records, each in the type that the event's class has for it; None if it has no records."""
    if isinstance(event, list | tuple):
        return list(event) if event and _has_source(event[0]) else None
    if not isinstance(event, Mapping):
        records = getattr(event, "Records", None)  # of a pydantic model
        return list(records) if isinstance(records, list | tuple) else None
    records = event.get("Records")
    if not isinstance(records, list):
        return None
    typed = None if isinstance(event, dict) else getattr(event, "records", None)  # of Powertools' event classes
    found = list(typed) if isinstance(typed, list | tuple | Iterator) else []
    return found if len(found) == len(records) else list(records)


def _consume_record(message: Any) -> Context | None:
    record = _as_record(message)
    found = _read_record(record)
    if found is None:
        _report_unknown(message, record)
        return None
    return aws.consume_message(*found)


def _report_unknown(message: Any, record: Record | None) -> None:
    """Count and log an object in no known shape. Events of other sources, such as S3 or an HTTP API, are no error."""
    if record is not None and _find_reader(record) is None and "detail-type" not in record:
        return
    recorder = checkpoint.ensure_recorder()
    if recorder is not None:
        recorder.counters.increment("malformed")
    kind = type(message)
    warn_once(
        f"lambda-{kind.__module__}.{kind.__qualname__}",
        "consume_lambda_event: not recorded, since it has not the shape of a message of SQS, SNS, Kinesis or "
        "EventBridge: %s.%s",
        kind.__module__,
        kind.__qualname__,
    )


def _as_record(message: Any) -> Record | None:
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


def _has_source(message: Any) -> bool:
    """Say whether a message names its source, as every record does."""
    record = _as_record(message)
    return record is not None and (isinstance(_source_of(record), str) or "detail-type" in record)


def _source_of(record: Record) -> Any:
    return record.get("eventSource") or record.get("EventSource")


def _read_record(record: Record | None) -> tuple[Edge, MessageInfo] | None:
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
