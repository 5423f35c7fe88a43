"""What things are called: the technology of a connection, and the queues and exchanges that are nobody's business."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from asyncdsm.amqp import RABBITMQ

# Celery's events and remote control, queues named by the server, and those that a caller waits at for its replies:
# Celery's are named by a bare UUID.
_INTERNAL_QUEUE = re.compile(r"celeryev(\..*)?|.*\.pidbox|amq\..*|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.DOTALL)
_INTERNAL_EXCHANGE = re.compile(r"celeryev|.*\.pidbox", re.DOTALL)


def type_of(connection: Any) -> str:
    """Return the `type:` of a connection's edges: rabbitmq for AMQP, else the transport's name."""
    name = str(connection.transport.driver_type)
    return RABBITMQ if name == "amqp" else name


@lru_cache(4096)
def is_internal_queue(name: str) -> bool:
    """Say whether a queue serves a library, or the replies to one caller: no edge of a pipeline."""
    return _INTERNAL_QUEUE.fullmatch(name) is not None


@lru_cache(4096)
def is_internal(exchange: str, routing_key: str) -> bool:
    """Say whether what is published goes to such a queue, or to an exchange of a library's."""
    if exchange == "":
        return is_internal_queue(routing_key)
    return _INTERNAL_EXCHANGE.fullmatch(exchange) is not None
