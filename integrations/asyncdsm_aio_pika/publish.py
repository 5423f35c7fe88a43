"""Messages published: to a named exchange of any type, or to the default one. Master and RPC publish this way too.

The context stands in a copy of the headers. The checkpoint counts when `publish` returns, so a message that the broker
refused is not counted; one that found no queue is: the exchange has taken it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aio_pika import Message
from aio_pika.abc import HeadersType

from asyncdsm.core import checkpoint
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.pathway import HEADER
from asyncdsm.core.recorder import Sample
from asyncdsm.integration.formats.amqp import (
    KEY_BYTES,
    bytes_of,
    has_room,
    is_internal_queue,
    note_reply_queue,
    out_edge,
    plain,
)
from asyncdsm.integration.hooks import mark_async


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
        sample = None
        try:
            sample, message = addressed(self.name, routing_key, message)
        except Exception as error:
            report_hook_error(error)
        if args or kwargs:
            result = await original(self, message, routing_key, *args, **kwargs)
        else:  # 0.4 µs sooner
            result = await original(self, message, routing_key)
        if sample is not None:
            checkpoint.finish_produce(sample)
        return result

    return mark_async(publish)


def addressed(exchange: str, routing_key: str, message: Any) -> tuple[Sample | None, Any]:
    """Return a message's checkpoint, to be counted, and the message to send: ours, unless a hook is behind already."""
    if (
        checkpoint.ensure_recorder() is None or type(message) is Addressed
    ):  # `isinstance` asks aio-pika's abstract classes
        return None, message
    if type(routing_key) is not str:
        routing_key = plain(routing_key)
    if exchange == "" and is_internal_queue(routing_key):  # a reply to one caller
        return None, message
    properties, size, fits = message.properties, len(message.body), True
    if properties.reply_to:
        note_reply_queue(properties.reply_to)
    headers: dict[str, Any] = {}
    if properties.headers:
        headers.update(properties.headers)
        headers.pop(HEADER, None)
        of_headers = bytes_of(headers)
        size, fits = size + of_headers, has_room(headers, of_headers)
    edge = out_edge(exchange, routing_key) if exchange == "" else out_edge(exchange, bool(routing_key))
    parts = checkpoint.begin_produce(edge, size, KEY_BYTES if fits else None)
    if parts is None:
        return None, message
    wire, sample = parts
    if not fits:
        checkpoint.record_not_propagated()
        return sample, message
    headers[HEADER] = wire.decode()
    properties.headers = headers
    return sample, Addressed(message, properties)
