"""Messages published by `Producer.publish`, which everything else calls. A retried one has one checkpoint.

The context is put into a copy of the headers. The checkpoint counts when `publish` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from inspect import signature
from typing import Any

from kombu.messaging import Producer

from asyncdsm.integration import HEADER, PendingProduce, after, ensure_recorder, finish_produce, report_hook_error
from asyncdsm.integration.formats.amqp import (
    RABBITMQ,
    begin_publish,
    count_body_bytes,
    is_internal_target,
    note_reply_queue,
    out_edges,
    to_wire_name,
)
from asyncdsm.integration.formats.transactions import CELERY_PRODUCE, extract_from_pairs
from asyncdsm_kombu.tracking import is_followed
from asyncdsm_kombu.transports import suppress_client_produce, type_of

_PLACES = {name: place for place, name in enumerate(list(signature(Producer.publish).parameters)[1:])}


class Publishing:
    """One call of `publish`."""

    __slots__ = ("body_bytes", "checkpoint", "headers")

    def __init__(self, headers: dict[str, Any], checkpoint: PendingProduce | None) -> None:
        """`headers` are those to send: the caller's, and the context.

        A message that does not count has no checkpoint, and no context either.
        """
        self.headers: dict[str, Any] = headers
        self.checkpoint: PendingProduce | None = checkpoint
        self.body_bytes: int | None = None

    def finish_publishing(self) -> None:
        """Count the checkpoint, with the size of headers and body. The size is unknown if that of the body is."""
        if self.checkpoint is None:
            return
        size = self.checkpoint.size
        self.checkpoint.size = None if size is None or self.body_bytes is None else size + self.body_bytes
        finish_produce(self.checkpoint)


_publishing: ContextVar[Publishing | None] = ContextVar("asyncdsm_kombu_publishing", default=None)


def hook_publish(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Producer.publish`. **Hot**."""

    def publish(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        publishing = None
        try:
            publishing = begin_publishing(self, args, kwargs)
        except Exception as error:
            report_hook_error(error)
        with suppress_client_produce(self):
            if publishing is None:
                return original(self, *args, **kwargs)
            around = _publishing.get()
            _publishing.set(publishing)
            try:
                result = original(self, *_replace_headers(publishing.headers, args, kwargs), **kwargs)
            finally:
                _publishing.set(around)
        publishing.finish_publishing()
        return result

    return publish


@after
def hook_prepare(prepared: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `Producer._prepare`, which serializes the body once for all tries."""
    publishing = _publishing.get()
    if publishing is not None and publishing.body_bytes is None:
        publishing.body_bytes = count_body_bytes(prepared[0])


def begin_publishing(producer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Publishing | None:
    """Return the headers to send and the checkpoint; None for a message that stays as it is. **Hot**.

    `args` and `kwargs` are those of `Producer.publish`.
    """
    if ensure_recorder() is None:
        return None
    connection = producer.connection
    if connection is None or not is_followed(connection):
        return None
    exchange = _find_argument("exchange", args, kwargs) or producer.exchange
    exchange = to_wire_name(getattr(exchange, "name", exchange))
    routing_key = _find_argument("routing_key", args, kwargs)
    routing_key = to_wire_name(producer.routing_key if routing_key is None else routing_key)
    given = _find_argument("headers", args, kwargs) or {}
    is_mapping = type(given) is dict or isinstance(given, Mapping)
    if not is_mapping:  # Kombu itself refuses other types
        return None
    if is_internal_target(exchange, routing_key):
        others = {name: value for name, value in given.items() if name != HEADER}
        return Publishing(others, None) if HEADER in given else None
    if reply_to := kwargs.get("reply_to"):
        note_reply_queue(to_wire_name(reply_to))
    headers, type_ = dict(given), type_of(connection)
    edge = out_edges[exchange, routing_key if exchange == "" else bool(routing_key), type_]
    checkpoint = begin_publish(edge, headers, 0, is_limited=type_ == RABBITMQ)
    if CELERY_PRODUCE and checkpoint is not None and "task" in headers:
        extract_from_pairs(CELERY_PRODUCE, headers.items())
    return None if checkpoint is None else Publishing(headers, checkpoint)


def _find_argument(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if len(args) < 2:  # as nearly always: the body alone, or not even that
        return kwargs.get(name)
    place = _PLACES[name]
    return args[place] if place < len(args) else kwargs.get(name)


def _replace_headers(headers: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Return the positional arguments with these headers in their place, or put the headers into `kwargs`."""
    place = _PLACES["headers"]
    if place < len(args):
        return (*args[:place], headers, *args[place + 1 :])
    kwargs["headers"] = headers
    return args
