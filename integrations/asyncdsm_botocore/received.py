"""Messages received: dicts as they were, which remember their pathway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from asyncdsm import aws, checkpoint
from asyncdsm.batch import ConsumedList
from asyncdsm.edge import Edge
from asyncdsm.pathway import Context


class ReceivedMessage(dict[str, Any]):
    """A message that knows its pathway, for it does not say which queue it was received from, nor when.

    Equal to the dict that it was, written to JSON like it; copied and pickled, it is a plain one.
    """

    __slots__ = ("pathway",)

    def __init__(self, message: Mapping[str, Any], pathway: Context | None) -> None:
        super().__init__(message)
        self.pathway: Context | None = pathway

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return dict, (dict(self),)


def following(
    messages: Iterable[dict[str, Any]], arrivals: Iterable[aws.Arrival], edge: Edge | None
) -> ConsumedList[ReceivedMessage]:
    """Record what was received, and return it as a list that makes each message current in turn.

    Without an edge nothing is recorded, and pathways go on as they came. Until the list is iterated, none is current.
    """
    try:
        if edge is None:
            pathways: list[Context | None] = [
                checkpoint.carried_pathway(each.header, each.broker_ns) for each in arrivals
            ]
        else:
            pathways = [checkpoint.arrived(edge, *each) for each in arrivals]
    finally:
        checkpoint.set_current(None)
    return ConsumedList(map(ReceivedMessage, messages, pathways), pathways)


def pathway_of(message: Any) -> Context | None:
    """Return the pathway of a message of SQS or a record of Kinesis, of boto3's resource too; None for anything else.

    Of one that was received elsewhere, in another process or by a client without our handlers, or was copied, it is
    the pathway that it carries: its queue is not known.
    """
    if not isinstance(message, dict):
        message = getattr(getattr(message, "meta", None), "data", None)  # a Message of boto3
    if isinstance(message, ReceivedMessage):
        return message.pathway
    arrival = _arrival(message) if isinstance(message, dict) else None
    return None if arrival is None else checkpoint.carried_pathway(arrival.header, arrival.broker_ns)


def _arrival(message: dict[str, Any]) -> aws.Arrival | None:
    if message.keys() >= {"MessageId", "ReceiptHandle", "Body"}:
        return queued(message)
    if message.keys() >= {"SequenceNumber", "Data"}:
        return streamed(message)
    return None


def queued(message: Mapping[str, Any]) -> aws.Arrival:
    """Read a message of SQS."""
    return aws.queued(message.get("MessageAttributes"), message.get("Body"), message.get("Attributes"))


def streamed(record: Mapping[str, Any]) -> aws.Arrival:
    """Read a record of Kinesis."""
    data, arrived = record.get("Data"), record.get("ApproximateArrivalTimestamp")
    seconds = arrived.timestamp() if isinstance(arrived, datetime) else None
    return aws.streamed(data if isinstance(data, bytes) else b"", record.get("PartitionKey"), seconds)
