"""Messages published, by `Producer.publish`, which all else ends in. One checkpoint each, however often it is retried.

The context stands in a copy of the headers. The checkpoint counts when `publish` returns.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from kombu.messaging import Producer

from asyncdsm import checkpoint
from asyncdsm.amqp import KEY_BYTES, RABBITMQ, bytes_of, has_room, out_edge
from asyncdsm.checkpoint import Departure
from asyncdsm.hooks import hook_failed
from asyncdsm.pathway import HEADER
from asyncdsm_kombu.followed import is_followed
from asyncdsm_kombu.names import is_internal, type_of
from asyncdsm_kombu.transports import below

_PLACES = {name: place for place, name in enumerate(list(signature(Producer.publish).parameters)[1:])}


class Departing(dict[str, Any]):
    """The headers of one publish: the caller's and the context. Kombu hands them on to where the body is serialized."""

    __slots__ = ("body_bytes", "departure", "type_")

    def __init__(self, headers: dict[str, Any], type_: str) -> None:
        """Hold the same entries, but for a context that was there."""
        super().__init__(headers)
        self.pop(HEADER, None)
        self.type_: str = type_
        self.departure: Departure | None = None
        self.body_bytes: int | None = None

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def depart(self) -> None:
        """Count the checkpoint, with the size of all that was sent, if the body's is known."""
        if self.departure is not None:
            point, now, edge_ns, pathway_ns, size = self.departure.sample
            whole = None if size is None or self.body_bytes is None else size + self.body_bytes
            checkpoint.depart(self.departure._replace(sample=(point, now, edge_ns, pathway_ns, whole)))


def publish(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Producer.publish`."""

    def publish(self: Any, *args: Any, **kwargs: Any) -> Any:
        departing = None
        try:
            departing = addressed(self, args, kwargs)
        except Exception as error:
            hook_failed(error)
        with below(self):
            if departing is None:
                return original(self, *args, **kwargs)
            result = original(self, *_with_headers(departing, args, kwargs), **kwargs)
        departing.depart()
        return result

    return publish


def prepare(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Producer._prepare`, which serializes the body, once for all tries."""

    def _prepare(self: Any, *args: Any, **kwargs: Any) -> Any:
        prepared = original(self, *args, **kwargs)
        headers = kwargs["headers"] if "headers" in kwargs else args[-1] if args else None
        if isinstance(headers, Departing):
            try:
                headers.body_bytes = len(prepared[0])
            except Exception as error:
                hook_failed(error)
        return prepared

    return _prepare


def addressed(producer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Departing | None:
    """Return the headers to send, with the message's checkpoint; None for a message that is nobody's or not followed.

    `args` and `kwargs` are those of `Producer.publish`.
    """
    if checkpoint.running() is None:
        return None
    connection = producer.connection
    if connection is None or not is_followed(connection):
        return None
    exchange = _argument("exchange", args, kwargs) or producer.exchange
    exchange = getattr(exchange, "name", exchange) or ""
    routing_key = _argument("routing_key", args, kwargs)
    routing_key = (producer.routing_key if routing_key is None else routing_key) or ""
    if is_internal(exchange, routing_key):
        return None
    departing = Departing(_argument("headers", args, kwargs) or {}, type_of(connection))
    edge = out_edge(exchange, routing_key if exchange == "" else bool(routing_key), departing.type_)
    size = bytes_of(departing)
    if departing.type_ == RABBITMQ and not has_room(departing, size):
        checkpoint.not_propagated()
        departing.departure = checkpoint.prepare(edge, size)
        return departing
    departing.departure = checkpoint.prepare(edge, size, KEY_BYTES)
    if departing.departure is not None:
        departing[HEADER] = departing.departure.header
    return departing


def _argument(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    place = _PLACES[name]
    return args[place] if place < len(args) else kwargs.get(name)


def _with_headers(headers: Departing, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Return the positional arguments, with the headers in their place: there, or among the `kwargs`."""
    place = _PLACES["headers"]
    if place < len(args):
        return (*args[:place], headers, *args[place + 1 :])
    kwargs["headers"] = headers
    return args
