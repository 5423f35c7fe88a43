"""Transports that stand on a client which may be followed itself: SQS on boto3, Kafka on confluent-kafka.

Kombu counts what passes through them, so while they send and receive, those clients count nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from asyncdsm.core import current
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.integration.hooks import Hooks
from asyncdsm_kombu.followed import connection_of, is_followed

STAND_ON_CLIENTS = {"sqs", "kafka"}
"""The `driver_type` of these transports."""


_NOTHING = nullcontext()

_hooks = Hooks()


def put_hooks(channel: Any) -> None:
    """Put the hooks on the classes of a channel and its transport, which Kombu imports when the first one is opened."""
    for owner, name, hook in (
        (type(channel), "_get", receive),
        (type(channel), "_get_bulk", receive),
        (type(channel.connection), "_deliver", call_back),
    ):
        if hasattr(owner, name):
            _hooks.put(owner, name, hook)


def remove_hooks() -> None:
    """Restore the classes."""
    _hooks.remove()


def below(producer: Any) -> AbstractContextManager[None]:
    """Return the block in which the client that a followed producer's transport stands on counts nothing."""
    try:
        connection = producer.connection
        if is_followed(connection) and connection.transport.driver_type in STAND_ON_CLIENTS:
            return current.suppress_nested_checkpoints()
    except Exception as error:
        report_hook_error(error)
    return _NOTHING


def receive(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Channel._get` and `Channel._get_bulk`, which receive through the client."""

    def receive(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_followed(self):
            return original(self, *args, **kwargs)
        with current.suppress_nested_checkpoints(consumes=True):
            return original(self, *args, **kwargs)

    return receive


def call_back(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Transport._deliver`, by which `_get_bulk` calls the program's consumers."""

    def call_back(self: Any, *args: Any, **kwargs: Any) -> Any:
        with current.allow_nested_checkpoints():
            return original(self, *args, **kwargs)

    return call_back


def _is_followed(channel: Any) -> bool:
    try:
        return is_followed(connection_of(channel))
    except Exception as error:
        report_hook_error(error)
        return False
