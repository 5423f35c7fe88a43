"""FastStream: `KafkaBroker(..., middlewares=[DataStreamsMiddleware])`, or `asyncdsm.wrap(broker)`.

One middleware for its Kafka, Confluent and Rabbit brokers: `middleware`. `received` reads the messages that their
clients receive, `sent` the commands that publish.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from faststream.__about__ import __version__
from faststream._internal.broker import BrokerUsecase
from faststream.message import StreamMessage

from asyncdsm.hooks import Hooks, hook_failed
from asyncdsm.integration import check_version
from asyncdsm.pathway import Context
from asyncdsm_faststream import received
from asyncdsm_faststream.middleware import DataStreamsMiddleware

__all__ = ["VERSIONS", "DataStreamsMiddleware", "instrument", "pathway_of", "uninstrument", "wrap"]

VERSIONS = ("0.7", "0.7")

_hooks = Hooks()


def wrap(client: Any) -> Any | None:
    """Add the middleware to one broker, unless it has it; None for anything else."""
    if not isinstance(client, BrokerUsecase):
        return None
    check_version("faststream", __version__, VERSIONS)
    if DataStreamsMiddleware not in client.middlewares:
        client.insert_middleware(DataStreamsMiddleware)
    return client


def instrument() -> None:
    """Add the middleware to every broker when it starts."""
    check_version("faststream", __version__, VERSIONS)
    _hooks.put(BrokerUsecase, "connect", _connect)


def uninstrument() -> None:
    """Add it to no more brokers; those that have it keep it."""
    _hooks.remove()


def pathway_of(message: Any) -> Context | None:
    """Return the pathway of a FastStream message; None for anything else, and for a batch."""
    if not isinstance(message, StreamMessage) or isinstance(message.raw_message, (list, tuple)):
        return None
    pathway: Context | None = getattr(message, "_asyncdsm_pathway", None)
    return pathway or received.pathway_of(message.raw_message)


def _connect(original: Callable[..., Any]) -> Callable[..., Any]:
    async def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            wrap(self)
        except Exception as error:
            hook_failed(error)
        return await original(self, *args, **kwargs)

    return connect
