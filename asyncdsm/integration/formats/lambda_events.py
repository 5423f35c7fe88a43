"""The events that an AWS Lambda function is called with: messages of SQS, SNS, Kinesis and EventBridge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import GeneratorType
from typing import Any

from asyncdsm._internal.log import warn_once
from asyncdsm.core import checkpoint, current
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.extractors import SQS_CONSUME, extract_from_pairs
from asyncdsm.core.pathway import Pathway
from asyncdsm.integration.consumed_list import ConsumedList


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


def find_lambda_pathway(message: Any) -> Pathway | None:
    """Return the pathway of a message of such an event, and record nothing; None for any other object."""
    from asyncdsm.integration.formats.lambda_records import read_record, to_record  # noqa: PLC0415  (slow: msgspec)

    found = read_record(to_record(message))
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
        return list(event) if _is_batch_of_pipe(event) else None
    if not isinstance(event, Mapping):
        records = getattr(event, "Records", None)  # of a pydantic model
        return list(records) if isinstance(records, list | tuple) else None
    records = event.get("Records")
    if not isinstance(records, list):
        return None
    typed = None if isinstance(event, dict) else getattr(event, "records", None)  # of Powertools' event classes
    found = list(typed) if isinstance(typed, list | tuple | Iterator) else []
    return found if len(found) == len(records) else list(records)


def _is_batch_of_pipe(event: Sequence[Any]) -> bool:
    from asyncdsm.integration.formats.lambda_records import has_source  # noqa: PLC0415

    return len(event) > 0 and has_source(event[0])


def _consume_record(message: Any) -> Pathway | None:
    from asyncdsm.integration.formats import aws, lambda_records  # noqa: PLC0415

    record = lambda_records.to_record(message)
    found = lambda_records.read_record(record)
    if found is not None:
        pathway = aws.consume_message(*found)
        if pathway is not None and record is not None:
            aws.note_delivery(found[0], record.get("attributes"))
            if SQS_CONSUME:  # only messages of SQS have attributes in this place
                extract_from_pairs(SQS_CONSUME, aws.attribute_pairs(record.get("messageAttributes")))
        return pathway
    if not lambda_records.is_of_other_source(record):  # an event of S3 or of an HTTP API is no error
        _report_unknown(message)
    return None


def _report_unknown(message: Any) -> None:
    """Count and log an object in no known shape."""
    recorder = checkpoint.ensure_recorder()
    if recorder is not None:
        recorder.counters.increment("malformed")
    kind = type(message)
    warn_once(
        f"lambda-{kind.__module__}.{kind.__qualname__}",
        "asyncdsm.consume_lambda_event() recorded nothing for an object that is not a message of SQS, SNS, Kinesis or "
        "EventBridge: %s.%s",
        kind.__module__,
        kind.__qualname__,
    )
