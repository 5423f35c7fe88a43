"""What is known of a broker and its tasks: queues, edges, and the label with the context."""

from __future__ import annotations

from typing import Any

from taskiq import TaskiqMessage

from asyncdsm.integration import HEADER, Edge, EdgeCache, make_out_edges

DEFAULT_QUEUE = "taskiq"
_MOST_DIGITS = 18

out_edges: EdgeCache[str] = make_out_edges("taskiq")
"""The edges of sending, by queue."""
in_edges: EdgeCache[str] = EdgeCache(lambda queue: Edge("direction:in", f"topic:{queue}", "type:taskiq"))
"""The edges of taking a task, by queue."""


def find_queue(broker: Any, message: Any) -> str:
    """Return the queue of a task: the one in its labels, or else the broker's."""
    from_label = message.labels.get("queue_name")
    queues = getattr(broker, "_task_queues", None)  # taskiq-aio-pika's, which has several
    first = getattr(queues[0], "name", None) if queues else None
    return str(from_label or getattr(broker, "queue_name", None) or first or DEFAULT_QUEUE)


def read_label(message: TaskiqMessage) -> str | None:
    """Return the context of a task; None without one, and for a label that is not a string."""
    header = message.labels.get(HEADER)
    return header if isinstance(header, str) else None


def is_retry(message: TaskiqMessage) -> bool:
    """Say whether a task failed before: taskiq's retry middlewares send it again with the number of its retries."""
    retries = message.labels.get("_retries")
    if isinstance(retries, str) and retries.isascii() and retries.isdecimal():
        retries = int(retries[:_MOST_DIGITS])
    return type(retries) is int and retries > 0
