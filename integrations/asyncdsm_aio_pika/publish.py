"""Messages published: to a named exchange of any type, or to the default one. Master and RPC publish this way too.

The context stands in a copy of the headers. The checkpoint counts when `publish` returns, so a message that the broker
refused is not counted; one that found no queue is: the exchange has taken it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aio_pika import Message
from aio_pika.abc import HeadersType

from asyncdsm import checkpoint
from asyncdsm.amqp import KEY_BYTES, bytes_of, has_room, out_edge
from asyncdsm.checkpoint import Departure
from asyncdsm.hooks import hook_failed, marked_async
from asyncdsm.pathway import HEADER


class Addressed(Message):
    """A message with our context in its properties. For everything else it asks the caller's, which it leaves alone."""

    __slots__ = ("_message", "_properties")

    def __init__(self, message: Any, properties: Any) -> None:
        """`properties` are those to send."""
        self._message = message
        self._properties = properties
        self.body: bytes = message.body
        self.headers: HeadersType = properties.headers

    __setattr__: Any = object.__setattr__  # the caller's message may be locked: this one is not

    @property
    def properties(self) -> Any:
        """The AMQP properties, made once."""
        return self._properties

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_message"), name)


def publish(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Exchange.publish`."""

    async def publish(self: Any, message: Any, routing_key: str, *args: Any, **kwargs: Any) -> Any:
        departure = None
        try:
            departure, message = addressed(self.name, routing_key, message)
        except Exception as error:
            hook_failed(error)
        result = await original(self, message, routing_key, *args, **kwargs)
        if departure is not None:
            checkpoint.depart(departure)
        return result

    return marked_async(publish)


def addressed(exchange: str, routing_key: str, message: Any) -> tuple[Departure | None, Any]:
    """Return a message's checkpoint, and the message to send: ours, unless it has a hook behind it already."""
    if checkpoint.running() is None or isinstance(message, Addressed):
        return None, message
    properties = message.properties
    headers = dict(properties.headers or {})
    headers.pop(HEADER, None)
    size = bytes_of(headers)
    edge = out_edge(exchange, routing_key) if exchange == "" else out_edge(exchange, bool(routing_key))
    if not has_room(headers, size):
        checkpoint.not_propagated()
        return checkpoint.prepare(edge, size + len(message.body)), message
    departure = checkpoint.prepare(edge, size + len(message.body), KEY_BYTES)
    if departure is None:
        return None, message
    headers[HEADER] = departure.header
    properties.headers = headers
    return departure, Addressed(message, properties)
