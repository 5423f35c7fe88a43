"""Messages received: what is recorded of them, and the lists that the program gets.

The messages remain the plain dicts that botocore has made. Their pathways are kept apart from them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from asyncdsm.integration import Edge, Pathway, follow_batch, incoming_pathway, set_current
from asyncdsm.integration.formats import aws
from asyncdsm.integration.formats.aws import MessageInfo
from asyncdsm.integration.formats.transactions import SQS_CONSUME, extract_from_pairs
from asyncdsm_botocore.receive_calls import pop_calling_task

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class RecentEntries(Generic[Key, Value]):
    """A bounded mapping that evicts old entries: at most `most`, and at least the newest half of that. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._half = most // 2
        self._newer: dict[Key, Value] = {}
        self._older: dict[Key, Value] = {}

    def put(self, key: Key, value: Value) -> None:
        """Store a value. When the newer half is full, the older one is dropped as a whole."""
        if len(self._newer) >= self._half:
            self._newer, self._older = {}, self._newer
        self._newer[key] = value

    def lookup(self, key: Key) -> Value | None:
        """Return the value of a key, or None."""
        return self._newer.get(key) or self._older.get(key)


_MOST_PATHWAYS = 32_768  # more than a whole response of Kinesis, which has up to 10,000 records

# By what identifies one receipt of a message, so that a copy of the dict is found too: every receipt handle is unique.
_pathways: RecentEntries[int, Pathway] = RecentEntries(_MOST_PATHWAYS)

in_resource_call: ContextVar[bool] = ContextVar("asyncdsm_botocore_resource_call", default=False)
"""Whether a resource of boto3 receives, which takes all messages of the response at once: they wait in its own list."""

ReadMessage = Callable[[Any], MessageInfo]


def follow_response(
    response: dict[str, Any], name: str, http_response: Any, read: ReadMessage, edge: Edge | None
) -> None:
    """Record the messages in `response[name]`, and put the list there that the program gets.

    Without an edge nothing is recorded, and each message's pathway is the one that it carries. A response that no
    service has sent, as that of a `botocore.stub.Stubber`, belongs to the caller and stays as it is.
    """
    messages = response.get(name)
    if not isinstance(messages, list):
        return
    try:
        pathways = [_consume(edge, message, read) for message in messages]
        for message, pathway in zip(messages, pathways, strict=True):
            key = _receipt_key(message)
            if key is not None and pathway is not None:
                _pathways.put(key, pathway)
    except BaseException:
        set_current(None)
        raise
    edges = None if edge is None or in_resource_call.get() else [edge] * len(messages)
    followed = follow_batch(messages, pathways, pop_calling_task(), edges)
    if is_from_service(http_response):
        response[name] = followed


def is_from_service(http_response: Any) -> bool:
    """Say whether a response came over a connection; that of a stub has no body."""
    return getattr(http_response, "raw", None) is not None


def find_message_pathway(message: Any) -> Pathway | None:
    """Return the pathway of a message of SQS or a record of Kinesis, also as boto3's resource; None for anything else.

    If the message was received elsewhere, in another process or by a client that is not followed, its queue is not
    known: then it is the pathway that the message carries.
    """
    message = _dict_of(message)
    if message is None:
        return None
    pathway = find_recorded_pathway(message)
    info = _read_any(message) if pathway is None else None
    return pathway if info is None else incoming_pathway(info.header, info.broker_ns)


def find_recorded_pathway(message: Any) -> Pathway | None:
    """Return the pathway of a message that was received and recorded in this process; None for any other."""
    key = _receipt_key(_dict_of(message))
    return None if key is None else _pathways.lookup(key)


def read_message(message: Any) -> MessageInfo:
    """Read a message of SQS, as `receive_message` returns it."""
    if not isinstance(message, Mapping):
        return aws.NOT_A_MESSAGE
    return aws.read_sqs_message(message.get("MessageAttributes"), message.get("Body"), message.get("Attributes"))


def read_record(record: Any) -> MessageInfo:
    """Read a record of Kinesis, as `get_records` returns it."""
    if not isinstance(record, Mapping):
        return aws.NOT_A_MESSAGE
    arrival = record.get("ApproximateArrivalTimestamp")
    return aws.read_kinesis_record(record.get("Data"), record.get("PartitionKey"), arrival)


def _consume(edge: Edge | None, message: Any, read: ReadMessage) -> Pathway | None:
    info = read(message)
    if edge is None:
        return incoming_pathway(info.header, info.broker_ns)
    pathway = aws.consume_message(edge, info)
    if pathway is not None and isinstance(message, Mapping):
        if "Attributes" in message:
            aws.note_delivery(edge, message["Attributes"])
        if SQS_CONSUME and "MessageAttributes" in message:
            extract_from_pairs(SQS_CONSUME, aws.attribute_pairs(message["MessageAttributes"]))
    return pathway


def _dict_of(message: Any) -> Any:
    """Return a message's dict: the message itself, or that of a Message of boto3's resource; None if it has none."""
    if isinstance(message, dict):
        return message
    data = getattr(getattr(message, "meta", None), "data", None)
    return data if isinstance(data, dict) else None


def _read_any(message: Mapping[str, Any]) -> MessageInfo | None:
    if message.keys() >= {"MessageId", "ReceiptHandle", "Body"}:
        return read_message(message)
    if message.keys() >= {"SequenceNumber", "Data"}:
        return read_record(message)
    return None


def _receipt_key(message: Any) -> int | None:
    if not isinstance(message, Mapping):
        return None
    for names in (("MessageId", "ReceiptHandle"), ("SequenceNumber", "PartitionKey")):
        values = [message.get(name) for name in names]
        if all(isinstance(value, str) and value for value in values):
            return hash((*names, *values))
    return None
