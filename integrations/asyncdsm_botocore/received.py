"""Messages received: what is recorded of them, and the lists that the program gets.

The messages stay the plain dicts that botocore made. Their pathways are kept beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from asyncdsm.core import checkpoint, current
from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import Context
from asyncdsm.integration.batch import follow_batch
from asyncdsm.integration.formats import aws
from asyncdsm.integration.formats.aws import Arrival
from asyncdsm_botocore import asking
from asyncdsm_botocore.memory import Recent

_MOST_PATHWAYS = 32_768  # a whole answer of Kinesis, which has up to 10,000 records, and some more

# By what names one receipt of a message, so that a copy of the dict is known too: a receipt handle is given once.
_pathways: Recent[int, Context] = Recent(_MOST_PATHWAYS)

Read = Callable[[Any], Arrival]


def follow_answer(answer: dict[str, Any], name: str, http_response: Any, read: Read, edge: Edge | None) -> None:
    """Record the messages in `answer[name]`, and put there the list that the program gets.

    Without an edge nothing is recorded, and pathways go on as they came. An answer that no service sent, as that of a
    `botocore.stub.Stubber`, belongs to the caller and stays as it is.
    """
    messages = answer.get(name)
    if not isinstance(messages, list):
        return
    try:
        pathways = [_record(edge, read(message)) for message in messages]
        for message, pathway in zip(messages, pathways, strict=True):
            key = _receipt_of(message)
            if key is not None and pathway is not None:
                _pathways.keep(key, pathway)
    except BaseException:
        current.set_current(None)
        raise
    following = follow_batch(messages, pathways, asking.take_asker())
    if is_from_service(http_response):
        answer[name] = following


def is_from_service(http_response: Any) -> bool:
    """Say whether an answer came over a connection; a stubbed one has no body."""
    return getattr(http_response, "raw", None) is not None


def pathway_of(message: Any) -> Context | None:
    """Return the pathway of a message of SQS or a record of Kinesis, of boto3's resource too; None for anything else.

    Of one that was received elsewhere, in another process or by a client without our handlers, it is the pathway that
    it carries: its queue is not known.
    """
    message = _dict_of(message)
    if message is None:
        return None
    known = recall(message)
    arrival = _arrival(message) if known is None else None
    return known if arrival is None else checkpoint.incoming_pathway(arrival.header, arrival.broker_ns)


def recall(message: Any) -> Context | None:
    """Return the pathway of a message that was received and recorded here; None for any other."""
    key = _receipt_of(_dict_of(message))
    return None if key is None else _pathways.find(key)


def read_queued(message: Any) -> Arrival:
    """Read a message of SQS, as `receive_message` returns it."""
    if not isinstance(message, Mapping):
        return aws.UNREADABLE
    return aws.queued(message.get("MessageAttributes"), message.get("Body"), message.get("Attributes"))


def read_streamed(record: Any) -> Arrival:
    """Read a record of Kinesis, as `get_records` returns it."""
    if not isinstance(record, Mapping):
        return aws.UNREADABLE
    return aws.streamed(record.get("Data"), record.get("PartitionKey"), record.get("ApproximateArrivalTimestamp"))


def _record(edge: Edge | None, arrival: Arrival) -> Context | None:
    if edge is None:
        return checkpoint.incoming_pathway(arrival.header, arrival.broker_ns)
    return aws.consume(edge, arrival)


def _dict_of(message: Any) -> Any:
    """Return a message's dict: itself, or that inside of a Message of boto3's resource."""
    if isinstance(message, dict):
        return message
    data = getattr(getattr(message, "meta", None), "data", None)
    return data if isinstance(data, dict) else None


def _arrival(message: Mapping[str, Any]) -> Arrival | None:
    if message.keys() >= {"MessageId", "ReceiptHandle", "Body"}:
        return read_queued(message)
    if message.keys() >= {"SequenceNumber", "Data"}:
        return read_streamed(message)
    return None


def _receipt_of(message: Any) -> int | None:
    if not isinstance(message, Mapping):
        return None
    for names in (("MessageId", "ReceiptHandle"), ("SequenceNumber", "PartitionKey")):
        values = [message.get(name) for name in names]
        if all(_texts(values)):
            return hash((*names, *values))
    return None


def _texts(values: Iterable[Any]) -> Iterable[bool]:
    return (isinstance(value, str) and value != "" for value in values)
