"""The largest message that a server takes. NATS and the brokers of MQTT end the connection that sends a larger one.

Only FastStream's client has the encoded message. So a hook below FastStream takes the context off a message that it
makes too large.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from asyncdsm.integration import HEADER, Hooks, guarded, mark_async, suppress_nested_checkpoints
from asyncdsm_faststream import mqtt_messages
from asyncdsm_faststream.produce import BegunPublish

_hooks = Hooks()  # never removed: brokers keep the middleware that they were made with
_publishing: ContextVar[BegunPublish | None] = ContextVar("asyncdsm_faststream_publishing", default=None)


@contextmanager
def publishing(begun: BegunPublish) -> Iterator[None]:
    """Let the client below count nothing inside the block, and take the context off a message without room for it."""
    before = _publishing.get()
    _publishing.set(begun)
    try:
        with suppress_nested_checkpoints():
            yield
    finally:
        _publishing.set(before)  # not by a token, since a coroutine may be closed in another context


def keep_limits() -> None:
    """Let the clients of FastStream's NATS and MQTT brokers keep to the limits of their servers, if they are in use."""
    if "faststream.nats" in sys.modules:
        from nats.aio.client import Client  # noqa: PLC0415  (nats-py need not be installed)

        # Below `publish`, which the integration of nats-py hooks: a method has one hook.
        _hooks.put(Client, "_send_publish", _hook_nats_send)
    if "faststream.mqtt" in sys.modules:
        from zmqtt import MQTTClient  # noqa: PLC0415

        _hooks.put(MQTTClient, "publish", _hook_mqtt_publish)


def _hook_nats_send(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Client._send_publish`, which sends every message, requests and those to JetStream too. **Hot**."""

    def send(  # noqa: PLR0917  (as the client has it)
        client: Any, /, subject: Any, reply: Any, payload: Any, size: Any, headers: Any, *args: Any, **kwargs: Any
    ) -> Any:
        begun = _publishing.get()
        if begun is not None:
            headers = _fit_headers(begun, client, payload, headers) or headers
        return original(client, subject, reply, payload, size, headers, *args, **kwargs)

    return mark_async(send)


@guarded
def _fit_headers(begun: BegunPublish, client: Any, payload: bytes, headers: Any) -> dict[str, str] | None:
    """Return the headers to send in place of these; None if they can stay."""
    from asyncdsm_faststream.nats_messages import has_room  # noqa: PLC0415

    if not headers or headers.get(HEADER) != begun.header or has_room(client, payload, headers):
        return None
    begun.has_context = False
    return {name: value for name, value in headers.items() if name != HEADER}


def _hook_mqtt_publish(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `MQTTClient.publish`, which `request` calls too. **Hot**."""

    def publish(client: Any, /, topic: Any, payload: Any, *args: Any, **kwargs: Any) -> Any:
        begun = _publishing.get()
        if begun is not None and "properties" in kwargs:
            properties = _fit_properties(begun, client, topic, payload, kwargs["properties"])
            kwargs["properties"] = properties or kwargs["properties"]
        return original(client, topic, payload, *args, **kwargs)

    return mark_async(publish)


@guarded
def _fit_properties(begun: BegunPublish, client: Any, topic: str, payload: Any, properties: Any) -> Any:
    """Return the properties to send in place of these; None if they can stay."""
    context = (HEADER, begun.header)
    if properties is None or context not in properties.user_properties:
        return None
    if mqtt_messages.has_room(client, topic, payload, properties):
        return None
    begun.has_context = False
    return replace(properties, user_properties=tuple(each for each in properties.user_properties if each != context))
