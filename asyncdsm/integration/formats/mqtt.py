"""MQTT: the edges of its topics, and the user properties of a message, which version 5 has.

Shared by every client of it, so that a message counts under one topic whoever sends or receives it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from asyncdsm.core.context import HEADER
from asyncdsm.core.edge import EdgeCache, make_in_edges, make_out_edges
from asyncdsm.core.topic_names import TopicNames

topics: TopicNames = TopicNames(separator="/", one="+", rest="#")
"""The topics by name: a program may put ids into names."""

out_edges: EdgeCache[str] = make_out_edges("mqtt")
"""The edges of publishing, by topic."""
in_edges: EdgeCache[tuple[str, str]] = make_in_edges("mqtt")
"""The edges of consuming, by topic and group: that of a shared subscription, "" without one."""


def is_left_out(topic: str) -> bool:
    """Say whether messages of a topic do not count: `$` begins the broker's own, such as `$SYS`."""
    return topic[:1] == "$"


def find_shared_group(subscription: str) -> str:
    """Return the group of a shared subscription, `$share/group/filter`; "" for any other one."""
    parts = subscription.split("/", 2)
    return parts[1] if parts[0] == "$share" and len(parts) > 1 else ""


def read_pairs(pairs: Iterable[tuple[str, str]]) -> tuple[str | None, int]:
    """Return the context among a message's user properties, and how many bytes these have. **Hot**."""
    header, size = None, 0
    for name, value in pairs:
        size += len(name) + len(value)
        if name == HEADER:
            header = value
    return header, size


def measure_payload(payload: Any) -> int:
    """Return the bytes of a payload as clients send it: numbers as text, None as nothing."""
    if isinstance(payload, bytes | bytearray):
        return len(payload)
    if payload is None:
        return 0
    text = str(payload)
    return len(text) if text.isascii() else len(text.encode())
