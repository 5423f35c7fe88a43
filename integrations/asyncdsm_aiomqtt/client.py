"""The hooks on aiomqtt's classes: what a client publishes, what it subscribes to, and what it receives."""

from __future__ import annotations

from typing import Any

import aiomqtt.client
from aiomqtt import Client

from asyncdsm.integration import Hooks, after_await, before
from asyncdsm_aiomqtt.connection import find_followed
from asyncdsm_aiomqtt.consume import hook_next
from asyncdsm_aiomqtt.produce import hook_client_publish

_ITERATOR: Any = getattr(aiomqtt.client, "MessagesIterator", None) or getattr(Client, "MessagesIterator", Client)
# The class of `client.messages`: until 2.3 inside the client's class.


@before
def observe_enter(client: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `async with client`, which connects."""
    connection = find_followed(client)
    if connection is not None:
        connection.watch_answers(client._client)


@after_await
def observe_subscribe(_result: Any, client: Any, /, topic: Any, *_args: Any, **_more: Any) -> None:
    """Observe a subscription that the broker has confirmed."""
    connection = find_followed(client)
    if connection is not None:
        connection.subscribe(topic)


@after_await
def observe_unsubscribe(_result: Any, client: Any, /, topic: Any, *_args: Any, **_more: Any) -> None:
    """Observe that a subscription ended."""
    connection = find_followed(client)
    if connection is not None:
        connection.unsubscribe(topic)


def hook_all(hooks: Hooks) -> None:
    """Put hooks on the client's classes."""
    hooks.put(Client, "__aenter__", observe_enter)
    hooks.put(Client, "publish", hook_client_publish)
    hooks.put(Client, "subscribe", observe_subscribe)
    hooks.put(Client, "unsubscribe", observe_unsubscribe)
    hooks.put(_ITERATOR, "__anext__", hook_next)
