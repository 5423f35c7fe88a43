"""What is known of a message: its queue, its edges, and the option with the context."""

from __future__ import annotations

from typing import Any

from dramatiq.common import q_name

from asyncdsm.integration import HEADER, Edge, EdgeCache, make_out_edges

out_edges: EdgeCache[str] = make_out_edges("dramatiq")
"""The edges of enqueuing, by queue."""
in_edges: EdgeCache[str] = EdgeCache(lambda queue: Edge("direction:in", f"topic:{queue}", "type:dramatiq"))
"""The edges of processing, by queue."""


def find_queue(message: Any) -> str:
    """Return the queue that an actor reads. A delayed message waits in another one, which dramatiq names after it."""
    return str(q_name(message.queue_name))


def read_context(message: Any) -> str | None:
    """Return the context of a message; None without one, and for an option that is not a string."""
    header = message.options.get(HEADER)
    return header if isinstance(header, str) else None


def is_redelivered(message: Any) -> bool:
    """Say whether a message was processed before and failed, or RabbitMQ has delivered it before."""
    retries = message.options.get("retries")
    return (type(retries) is int and retries > 0) or getattr(message, "redelivered", None) is True
