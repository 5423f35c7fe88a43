"""Transports that use a client which may be followed itself: for SQS, Kafka, Azure Service Bus, Google Pub/Sub.

The hooks on Kombu count what passes through them, so those clients count nothing while such a transport uses them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

from asyncdsm.integration import Hooks, allow_nested_checkpoints, report_hook_error, suppress_nested_checkpoints
from asyncdsm.integration.formats.amqp import RABBITMQ
from asyncdsm_kombu.tracking import connection_of, is_followed

_USE_CLIENTS = {"google-pubsub", "kafka", "servicebus", "sqs"}  # the types of their edges
_MODULES = "kombu.transport."
_ABSTRACT = ("virtual.base", "base")
_TYPES = {"amqp": RABBITMQ, "azureservicebus": "servicebus", "gcpubsub": "google-pubsub"}
_NOTHING = nullcontext()

_hooks = Hooks()


def type_of(connection: Any) -> str:
    """Return the `type:` of a connection's edges: as other clients of the broker have it, or the transport's name."""
    cls: Any = type(connection.transport)
    return _find_type(cls)


@lru_cache(64)
def _find_type(cls: Any) -> str:
    name = str(cls.driver_type)
    if name == "N/A":  # it gives none: its module in Kombu has one
        modules = (base.__module__ for base in cls.__mro__ if base.__module__.startswith(_MODULES))
        names = (module.removeprefix(_MODULES).lower() for module in modules)
        name = next((each for each in names if each not in _ABSTRACT), name)
    return _TYPES.get(name, name)


def hook_transport(channel: Any, type_: str) -> None:
    """Put the hooks on the classes of a channel and its transport, if it uses a client.

    Kombu imports these classes when it opens the first channel.
    """
    if type_ in _USE_CLIENTS:
        for owner, name, hook in (
            (type(channel), "_get", hook_receive),
            (type(channel), "_get_bulk", hook_receive),
            (type(channel), "_restore", hook_restore),
            (type(channel.connection), "_deliver", hook_deliver),
        ):
            if hasattr(owner, name):
                _hooks.put(owner, name, hook)


def remove_hooks() -> None:
    """Restore the classes."""
    _hooks.remove()


def suppress_client_produce(producer: Any) -> AbstractContextManager[None]:
    """Return the block in which the client that a followed producer's transport uses counts nothing."""
    try:
        connection = producer.connection
        if is_followed(connection) and type_of(connection) in _USE_CLIENTS:
            return suppress_nested_checkpoints()
    except Exception as error:
        report_hook_error(error)
    return _NOTHING


def hook_receive(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Channel._get` and `Channel._get_bulk`, which receive through the client."""

    def receive_hooked(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not _is_channel_followed(self):
            return original(self, *args, **kwargs)
        with suppress_nested_checkpoints(consumes=True):
            return original(self, *args, **kwargs)

    return receive_hooked


def hook_restore(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Channel._restore`, which sends a message again that was requeued, or not acknowledged when it closed.

    The message counted when it was published, and its context is that of then.
    """

    def restore_hooked(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not _is_channel_followed(self):
            return original(self, *args, **kwargs)
        with suppress_nested_checkpoints():
            return original(self, *args, **kwargs)

    return restore_hooked


def hook_deliver(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Transport._deliver`, by which `_get_bulk` calls the program's consumers."""

    def deliver_hooked(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        with allow_nested_checkpoints():
            return original(self, *args, **kwargs)

    return deliver_hooked


def _is_channel_followed(channel: Any) -> bool:
    try:
        return is_followed(connection_of(channel))
    except Exception as error:
        report_hook_error(error)
        return False
