"""What a function of AWS Lambda is called with: messages of SQS, SNS, Kinesis and EventBridge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from asyncdsm._internal.log import warn_once
from asyncdsm.core import checkpoint, current
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.pathway import Context
from asyncdsm.integration.consumed_list import ConsumedList

if TYPE_CHECKING:
    from asyncdsm.core.edge import Edge
    from asyncdsm.integration.formats.aws import Arrival


def consume_lambda_event(event: Any) -> list[Any]:
    """Record the messages that a Lambda function was called with, and return them as a list to be worked on.

    `event` is Lambda's own dict, an event class of Powertools, a pydantic model, or the list that an EventBridge Pipe
    hands over. The list has the event's records, of SQS, SNS or Kinesis, in the types that `event` has for them; or the
    event itself, of EventBridge or anything else, which is not recorded. A message that comes alone is current at
    once; of several, each is while the list is iterated. What is no message is said once and counted as malformed.
    """
    current.set_current(None)  # what was current belongs to the call before
    messages = _messages(event)
    try:
        if checkpoint.ensure_recorder() is None:
            return messages
        pathways = [_consumed(message) for message in messages]
    except Exception as error:
        current.set_current(None)
        report_hook_error(error)
        return messages
    if len(messages) == 1:  # called by the program itself: no other task or thread waits for it
        current.set_current(pathways[0])
        return messages
    current.set_current(None)
    return ConsumedList(messages, pathways) if messages else messages


def pathway_of(message: Any) -> Context | None:
    """Return the pathway of one of those messages, from itself alone; None for anything else."""
    known = _read(message)
    if known is None:
        return None
    edge, arrival = known
    return checkpoint.peek_consume(edge, arrival.header, arrival.broker_ns)


def _messages(event: Any) -> list[Any]:
    if isinstance(event, GeneratorType):  # the `records` of Powertools' classes
        return list(event)
    try:
        records = _records(event)
    except Exception as error:  # a class with properties of its own
        report_hook_error(error)
        records = None
    return [event] if records is None else records


def _records(event: Any) -> list[Any] | None:
    """Return an event's records, each in the type that the event's class has for it; None without any."""
    if isinstance(event, list | tuple):
        return list(event) if _is_pipes_batch(event) else None
    if not isinstance(event, Mapping):
        records = getattr(event, "Records", None)  # of a pydantic model
        return list(records) if isinstance(records, list | tuple) else None
    records = event.get("Records")
    if not isinstance(records, list):
        return None
    typed = None if isinstance(event, dict) else getattr(event, "records", None)  # of Powertools' event classes
    made = list(typed) if isinstance(typed, list | tuple | Iterator) else []
    return made if len(made) == len(records) else list(records)


def _is_pipes_batch(event: Sequence[Any]) -> bool:
    from asyncdsm.integration.formats import lambda_records  # noqa: PLC0415

    return len(event) > 0 and lambda_records.is_record(event[0])


def _consumed(message: Any) -> Context | None:
    known = _read(message)
    if known is None:
        _say_unknown(message)
        return None
    from asyncdsm.integration.formats import aws  # noqa: PLC0415

    return aws.consume(*known)


def _read(message: Any) -> tuple[Edge, Arrival] | None:
    from asyncdsm.integration.formats import lambda_records  # noqa: PLC0415

    return lambda_records.read(message)


def _say_unknown(message: Any) -> None:
    """Count what is no message that is known here. A dict of another source than those four is none, and may come."""
    from asyncdsm.integration.formats import lambda_records  # noqa: PLC0415

    if lambda_records.is_of_other_source(message):
        return
    aggregator = checkpoint.ensure_recorder()
    if aggregator is not None:
        aggregator.counters.increment("malformed")
    kind = type(message)
    warn_once(
        f"lambda-{kind.__module__}.{kind.__qualname__}",
        "consume_lambda_event: not recorded, not a message of SQS, SNS, Kinesis or EventBridge in a shape that is "
        "known: %s.%s",
        kind.__module__,
        kind.__qualname__,
    )
