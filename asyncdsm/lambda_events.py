"""What a function of AWS Lambda is called with: messages of SQS, SNS, Kinesis and EventBridge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asyncdsm import checkpoint
from asyncdsm.batch import ConsumedList
from asyncdsm.hooks import hook_failed
from asyncdsm.pathway import Pathway

if TYPE_CHECKING:
    from asyncdsm.aws import Arrival
    from asyncdsm.edge import Edge


def consume_lambda_event(event: Any) -> list[Any]:
    """Record the messages that a Lambda function was called with, and return them to be worked on.

    These are the event's records, of SQS, SNS or Kinesis, or the event itself, of EventBridge or anything else, which
    is not recorded. Iterating the list makes each message current in turn; one that comes alone is current at once.
    """
    checkpoint.set_current(None)  # what was current belongs to the call before
    messages = _messages(event)
    try:
        if checkpoint.running() is None:
            return messages
        pathways = [_consumed(message) for message in messages]
        following = ConsumedList(messages, pathways)
    except Exception as error:
        checkpoint.set_current(None)
        hook_failed(error)
        return messages
    checkpoint.set_current(pathways[0] if len(pathways) == 1 else None)
    return following


def pathway_of(message: Any) -> Pathway | None:
    """Return the pathway of one of those messages, from itself alone; None for anything else."""
    known = _read(message)
    if known is None:
        return None
    edge, arrival = known
    return checkpoint.next_pathway(edge, arrival.header, arrival.broker_ns)


def _messages(event: Any) -> list[Any]:
    records = event.get("Records") if isinstance(event, Mapping) else None
    return list(records) if isinstance(records, list) else [event]


def _consumed(message: Any) -> Pathway | None:
    known = _read(message)
    if known is None:
        return None
    edge, arrival = known
    return checkpoint.consume(edge, *arrival)


def _read(message: Any) -> tuple[Edge, Arrival] | None:
    from asyncdsm import lambda_records  # noqa: PLC0415  (msgspec: not before it is needed)

    return lambda_records.read(message)
