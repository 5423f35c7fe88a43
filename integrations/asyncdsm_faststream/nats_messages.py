"""Messages of FastStream's NATS broker, core and JetStream. They count as those of nats-py itself.

Watches of key-value and object stores pass on no messages, and are left alone.
"""

from __future__ import annotations

from typing import Any

from asyncdsm_nats.metadata import Metadata, read_metadata
from asyncdsm_nats.produce import LINE_BYTES, measure_headers
from asyncdsm_nats.subjects import in_edges, is_left_out, out_edges, topics
from nats.nuid import DIGITS, TOTAL_LENGTH

from asyncdsm.integration import HEADER, Edge, check_name
from asyncdsm_faststream.measures import ReadMessage


def find_edge(command: Any) -> Edge | None:
    """Return the edge of a publish; None for a reply to one caller, and for the server's own subjects."""
    subject: str = check_name("a subject", command.destination)
    return None if is_left_out(subject, None) else out_edges[topics[subject]]


def has_room(client: Any, payload: bytes, headers: dict[str, str]) -> bool:
    """Say whether the server takes this message. Its limit counts headers; the client looks at the payload alone."""
    return bool(LINE_BYTES + measure_headers(headers) + len(payload) <= client._max_payload)


def read_received(message: Any, subscriber: Any) -> ReadMessage | None:
    """Read a message of nats-py. `subscriber` is FastStream's, where it is known."""
    subject: str = check_name("a subject", message.subject)
    if is_left_out(subject, message._client):
        return None
    metadata, headers = read_metadata(message), message.headers or {}
    header, size = headers.get(HEADER), len(message.data) + measure_headers(headers)
    edge = in_edges[topics[subject], _find_group(subscriber, metadata)]
    if metadata is None:
        return ReadMessage(edge, header, size, None)
    return ReadMessage(edge, header, size, None if header else metadata.stored_ns, metadata.deliveries > 1)


def find_place(message: Any) -> tuple[Any, ...]:
    """Return a message's place, as the integration of nats-py has it."""
    return message.subject, message.reply, message._sid


def _find_group(subscriber: Any, metadata: Metadata | None) -> str:
    """Return the durable consumer or the queue group; "" without a name that somebody has chosen."""
    if subscriber is not None:
        options = getattr(subscriber, "extra_options", None) or {}
        return options.get("durable") or getattr(subscriber, "queue", None) or ""
    name = "" if metadata is None else metadata.consumer
    return "" if len(name) == TOTAL_LENGTH and set(name.encode()) <= set(DIGITS) else name
