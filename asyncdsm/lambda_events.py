"""Events that AWS Lambda gives to a function: messages of SQS, SNS, Kinesis and EventBridge, in Lambda's own shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asyncdsm import checkpoint
from asyncdsm.batch import ConsumedList
from asyncdsm.edge import Edge
from asyncdsm.hooks import hook_failed
from asyncdsm.pathway import Pathway

if TYPE_CHECKING:
    from asyncdsm.aws import Arrival


def consume_lambda_event(event: Any) -> list[Any]:
    """Record the messages that a Lambda function was called with, and return them to be worked on.

    These are the event's records, of SQS, SNS or Kinesis, or the event itself, of EventBridge or anything else, which
    is not recorded. Iterating the list makes each message current in turn; one that comes alone is current at once.
    """
    checkpoint.set_current(None)  # what was current belongs to the call before
    messages = _messages(event)
    if checkpoint.running() is None:
        return messages
    try:
        pathways = [_consumed(message) for message in messages]
    except Exception as error:
        hook_failed(error)
        return messages
    checkpoint.set_current(pathways[0] if len(pathways) == 1 else None)
    return ConsumedList(messages, pathways)


def pathway_of(message: Any) -> Pathway | None:
    """Return the pathway of one of those messages, from itself alone; None for anything else."""
    known = _known(message)
    if known is None:
        return None
    edge, arrival = known
    return checkpoint.next_pathway(edge, arrival.header, arrival.broker_ns)


def _messages(event: Any) -> list[Any]:
    records = event.get("Records") if isinstance(event, Mapping) else None
    return list(records) if isinstance(records, list) else [event]


def _consumed(message: Any) -> Pathway | None:
    known = _known(message)
    if known is None:
        return None
    edge, arrival = known
    return checkpoint.consume(edge, *arrival)


def _known(message: Any) -> tuple[Edge, Arrival] | None:
    """Return the edge that a message has passed and what it says of itself, by the names that Lambda documents."""
    if not isinstance(message, Mapping):
        return None
    source = message.get("eventSource") or message.get("EventSource")
    if source == "aws:sqs":
        return _of_sqs(message)
    if source == "aws:sns":
        return _of_sns(message)
    if source == "aws:kinesis":
        return _of_kinesis(message)
    return _of_eventbridge(message) if "detail-type" in message and "detail" in message else None


def _of_sqs(record: Mapping[str, Any]) -> tuple[Edge, Arrival]:
    from asyncdsm import aws  # noqa: PLC0415  (msgspec: not before it is needed)

    edge = aws.edge("in", "sqs", aws.queue_name(str(record.get("eventSourceARN"))))
    return edge, aws.queued(record.get("messageAttributes"), record.get("body"), record.get("attributes"))


def _of_sns(record: Mapping[str, Any]) -> tuple[Edge, Arrival] | None:
    from asyncdsm import aws  # noqa: PLC0415

    notification = record.get("Sns")
    if not isinstance(notification, Mapping):
        return None
    return aws.edge("in", "sns", str(notification.get("TopicArn"))), aws.notified(notification)


def _of_kinesis(record: Mapping[str, Any]) -> tuple[Edge, Arrival] | None:
    from asyncdsm import aws  # noqa: PLC0415

    content = record.get("kinesis")
    data = content.get("data") if isinstance(content, Mapping) else None
    if not isinstance(content, Mapping) or not isinstance(data, str):
        return None
    arrived = content.get("approximateArrivalTimestamp")
    return aws.edge("in", "kinesis", str(record.get("eventSourceARN"))), aws.streamed(
        aws.from_base64(data) or b"",
        content.get("partitionKey"),
        arrived if isinstance(arrived, int | float) else None,
    )


def _of_eventbridge(event: Mapping[str, Any]) -> tuple[Edge, Arrival]:
    from asyncdsm import aws  # noqa: PLC0415

    return aws.edge("in", "eventbridge", str(event["detail-type"])), aws.happened(event)
