"""What JetStream tells of a message in its reply subject: `$JS.ACK.…`, with a domain before the stream or without."""

from __future__ import annotations

from typing import Any, NamedTuple

PREFIX = "$JS.ACK."
SHORT_LENGTH = 9
"""How many tokens the form has that servers used before domains; the other one has eleven or more."""


class Metadata(NamedTuple):
    """One delivery of a message by a consumer."""

    stream: str
    consumer: str
    deliveries: int
    """How often the message was delivered to this consumer, with this time."""
    stored_ns: int
    """When the server stored the message, in nanoseconds since the epoch."""
    unread: int
    """How many messages of the stream the consumer was not given yet."""


def read_metadata(message: Any) -> Metadata | None:
    """Return what JetStream tells of a message. None for a message of core NATS, and for what cannot be read."""
    reply = message.reply
    if not reply or not reply.startswith(PREFIX):
        return None
    tokens = reply.split(".")
    at = 2 if len(tokens) == SHORT_LENGTH else 4  # where the name of the stream is
    try:
        return Metadata(tokens[at], tokens[at + 1], int(tokens[at + 2]), int(tokens[at + 5]), int(tokens[at + 6]))
    except (IndexError, ValueError):
        return None
