"""The shapes in which AWS Lambda hands messages on: the services' own, with other names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asyncdsm import aws
from asyncdsm.aws import Arrival
from asyncdsm.edge import Edge
from asyncdsm.json_text import from_base64


def read(message: Any) -> tuple[Edge, Arrival] | None:
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
    content, arn = record.get("kinesis"), record.get("eventSourceARN")
    data = content.get("data") if isinstance(content, Mapping) else None
    if not isinstance(content, Mapping) or not isinstance(data, str) or not isinstance(arn, str):
        return None
    arrived = content.get("approximateArrivalTimestamp")
    return aws.edge("in", "kinesis", arn), aws.streamed(from_base64(data) or b"", content.get("partitionKey"), arrived)


def _of_eventbridge(event: Mapping[str, Any]) -> tuple[Edge, Arrival] | None:
    kind = event["detail-type"]
    return (aws.edge("in", "eventbridge", kind), aws.happened(event)) if isinstance(kind, str) else None
