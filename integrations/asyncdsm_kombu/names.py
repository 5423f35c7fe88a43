"""What things are called: the technology of a connection."""

from __future__ import annotations

from typing import Any

from asyncdsm.integration.formats.amqp import RABBITMQ


def type_of(connection: Any) -> str:
    """Return the `type:` of a connection's edges: rabbitmq for AMQP, else the transport's name."""
    name = str(connection.transport.driver_type)
    return RABBITMQ if name == "amqp" else name
