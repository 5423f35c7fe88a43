"""taskiq: `broker.with_middlewares(DataStreamsMiddleware())`, or `asyncdsm.wrap(broker)`.

The context travels among a task's labels.
"""

from __future__ import annotations

from typing import Any

from taskiq import AsyncBroker, TaskiqMessage, __version__

from asyncdsm.core.pathway import Context
from asyncdsm.integration.base import check_version
from asyncdsm.integration.hooks import Hooks, after
from asyncdsm_taskiq.middleware import DataStreamsMiddleware, pathway_in

__all__ = ["VERSIONS", "WRAPS", "DataStreamsMiddleware", "instrument", "pathway_of", "uninstrument", "wrap"]

VERSIONS = ("0.12", "0.13")
WRAPS = "a broker"

_hooks = Hooks()


def wrap(client: Any) -> Any | None:
    """Add the middleware to one broker, unless it has it; None for anything else."""
    if not issubclass(type(client), AsyncBroker):
        return client if isinstance(client, AsyncBroker) else None  # a mock of one stays as it is
    check_version("taskiq", __version__, VERSIONS)
    if not any(isinstance(middleware, DataStreamsMiddleware) for middleware in client.middlewares):
        client.add_middlewares(DataStreamsMiddleware())
    return client


def instrument() -> None:
    """Add the middleware to every broker that is made from here on."""
    check_version("taskiq", __version__, VERSIONS)
    _hooks.put(AsyncBroker, "__init__", _init)


def uninstrument() -> None:
    """Add it to no more brokers; those that have it keep it."""
    _hooks.remove()


def pathway_of(message: Any) -> Context | None:
    """Return the pathway of a task that was taken from a queue; None for anything else."""
    return pathway_in(message, "taskiq") if isinstance(message, TaskiqMessage) else None


@after
def _init(_: None, broker: Any, *_args: Any, **_more: Any) -> None:
    """Observe `AsyncBroker.__init__`."""
    wrap(broker)
