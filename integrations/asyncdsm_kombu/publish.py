"""Messages published, by `Producer.publish`, which all else ends in. One checkpoint each, however often it is retried.

The context stands in a copy of the headers. The checkpoint counts when `publish` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from inspect import signature
from typing import Any

from kombu.messaging import Producer

from asyncdsm.core import checkpoint
from asyncdsm.core.checkpoint import PendingProduce, report_hook_error
from asyncdsm.core.pathway import HEADER
from asyncdsm.integration.formats.amqp import (
    KEY_BYTES,
    RABBITMQ,
    body_bytes,
    bytes_of,
    has_room,
    is_internal,
    note_reply_queue,
    out_edge,
    plain,
)
from asyncdsm.integration.hooks import after
from asyncdsm_kombu.followed import is_followed
from asyncdsm_kombu.names import type_of
from asyncdsm_kombu.transports import below

_PLACES = {name: place for place, name in enumerate(list(signature(Producer.publish).parameters)[1:])}


class Publishing:
    """One call of `publish`."""

    __slots__ = ("body_bytes", "headers", "pending")

    def __init__(self, headers: dict[str, Any], pending: PendingProduce | None) -> None:
        """`headers` are those to send: the caller's, and the context."""
        self.headers: dict[str, Any] = headers
        self.pending: PendingProduce | None = pending
        self.body_bytes: int | None = None

    def depart(self) -> None:
        """Count the checkpoint, with the size of all that was sent, if the body's is known."""
        if self.pending is not None:
            point, now, edge_ns, pathway_ns, size = self.pending[1]
            whole = None if size is None or self.body_bytes is None else size + self.body_bytes
            checkpoint.finish_produce((point, now, edge_ns, pathway_ns, whole))


_publishing: ContextVar[Publishing | None] = ContextVar("asyncdsm_kombu_publishing", default=None)


def publish(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Producer.publish`."""

    def publish(self: Any, *args: Any, **kwargs: Any) -> Any:
        publishing = None
        try:
            publishing = addressed(self, args, kwargs)
        except Exception as error:
            report_hook_error(error)
        with below(self):
            if publishing is None:
                return original(self, *args, **kwargs)
            around = _publishing.get()
            _publishing.set(publishing)
            try:
                result = original(self, *_with_headers(publishing.headers, args, kwargs), **kwargs)
            finally:
                _publishing.set(around)
        publishing.depart()
        return result

    return publish


@after
def prepare(prepared: Any, *_args: Any, **_more: Any) -> None:
    """Observe `Producer._prepare`, which serializes the body, once for all tries."""
    publishing = _publishing.get()
    if publishing is not None and publishing.body_bytes is None:
        publishing.body_bytes = body_bytes(prepared[0])


def addressed(producer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Publishing | None:
    """Return the headers to send, with the message's checkpoint; None for a message that is internal or not followed.

    `args` and `kwargs` are those of `Producer.publish`.
    """
    if checkpoint.ensure_recorder() is None:
        return None
    connection = producer.connection
    if connection is None or not is_followed(connection):
        return None
    exchange = _argument("exchange", args, kwargs) or producer.exchange
    exchange = plain(getattr(exchange, "name", exchange))
    routing_key = _argument("routing_key", args, kwargs)
    routing_key = plain(producer.routing_key if routing_key is None else routing_key)
    given = _argument("headers", args, kwargs) or {}
    if is_internal(exchange, routing_key) or not isinstance(given, Mapping):  # Kombu refuses others in its own words
        return None
    if reply_to := kwargs.get("reply_to"):
        note_reply_queue(plain(reply_to))
    headers, type_ = dict(given), type_of(connection)
    headers.pop(HEADER, None)
    edge = out_edge(exchange, routing_key if exchange == "" else bool(routing_key), type_)
    size = bytes_of(headers)
    if type_ == RABBITMQ and not has_room(headers, size):
        checkpoint.record_not_propagated()
        return Publishing(headers, checkpoint.begin_produce(edge, size))
    pending = checkpoint.begin_produce(edge, size, KEY_BYTES)
    if pending is not None:
        headers[HEADER] = pending[0].decode()
    return Publishing(headers, pending)


def _argument(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    place = _PLACES[name]
    return args[place] if place < len(args) else kwargs.get(name)


def _with_headers(headers: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Return the positional arguments, with the headers in their place: there, or among the `kwargs`."""
    place = _PLACES["headers"]
    if place < len(args):
        return (*args[:place], headers, *args[place + 1 :])
    kwargs["headers"] = headers
    return args
