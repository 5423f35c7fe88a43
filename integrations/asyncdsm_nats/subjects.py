"""What is known of a message by its subject: the topic it counts under, and whether it counts at all."""

from __future__ import annotations

from typing import Any

from asyncdsm.integration import EdgeCache, TopicNames, make_in_edges, make_out_edges

INBOX_PREFIX = b"_INBOX"
"""What the subjects of replies begin with, unless a connection has a prefix of its own."""
_INBOX = "_INBOX."

topics: TopicNames = TopicNames(separator=".", one="*", rest=">")
"""The topics by subject: a program may put ids into subjects."""

out_edges: EdgeCache[str] = make_out_edges("nats")
"""The edges of publishing, by topic."""
in_edges: EdgeCache[tuple[str, str]] = make_in_edges("nats")
"""The edges of consuming, by topic and group: a durable consumer or a queue group, "" without one."""


def is_left_out(subject: str, client: Any) -> bool:
    """Say whether messages of a subject do not count: those of the server and its stores, and replies to one caller.

    `client` is the connection; None where it is not known, which may have a prefix for replies of its own.
    `$` begins the subjects of acknowledgements, of JetStream's API, and of key-value and object stores.
    """
    if subject[:1] == "$" or subject.startswith(_INBOX):
        return True
    prefix = INBOX_PREFIX if client is None else client._inbox_prefix
    return bool(prefix != INBOX_PREFIX and subject.startswith(f"{bytes(prefix).decode()}."))
