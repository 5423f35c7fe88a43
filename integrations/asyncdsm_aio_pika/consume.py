"""Messages received: by a callback, by an iterator, by `get`.

Counted when the user's code gets the message, in the task that gets it: what an iterator has fetched ahead may go back.
Replies to one caller, and queues that live only as long as their process, are left out (`formats.amqp`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from inspect import isawaitable
from typing import Any

from aio_pika import IncomingMessage, tools
from aio_pika.abc import AbstractQueueIterator
from aio_pika.exceptions import QueueEmpty

from asyncdsm.core import checkpoint, current
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.pathway import Context
from asyncdsm.integration.formats.amqp import (
    body_bytes,
    bytes_of,
    context_in,
    in_edge,
    is_internal_queue,
    is_reply_queue,
    plain,
    published_ns,
)
from asyncdsm.integration.hooks import mark_async
from asyncdsm_aio_pika import depth
from asyncdsm_aio_pika.memory import recall, remember

_FOLLOWED = "__asyncdsm_followed__"
_WAITS_APART = sys.version_info < (3, 12)
"""`wait_for` awaits in a task of its own: what is cleared there, the caller does not see."""

_decided: ContextVar[Any] = ContextVar("asyncdsm_callback_decided", default=None)
"""The queue, below the first of our hooks around its `consume`: only that one sees the callback as it was given."""


def consume(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Queue.consume` and `RobustQueue.consume`."""

    async def consume(self: Any, callback: Any, *args: Any, **kwargs: Any) -> Any:
        before = _decided.get()
        if before is self:
            return await original(self, callback, *args, **kwargs)
        _decided.set(self)
        try:
            return await original(self, _following(callback, self), *args, **kwargs)
        finally:
            _decided.set(before)  # not by a token: a coroutine may be closed in another context

    return mark_async(consume)


def fetch_ahead(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `QueueIterator.consume`, whose callback only fetches ahead."""

    async def consume(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = _decided.get()
        _decided.set(self._amqp_queue)
        try:
            return await original(self, *args, **kwargs)
        finally:
            _decided.set(before)

    return mark_async(consume)


def next_message(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `QueueIterator.__anext__`."""

    async def received(self: Any, args: Any, kwargs: Any) -> Any:
        _done_with_the_last(self._amqp_queue)
        message = await original(self, *args, **kwargs)
        arrived(self._amqp_queue, message)
        return message

    def __anext__(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        if _WAITS_APART:
            _done_with_the_last(self._amqp_queue)
        return received(self, args, kwargs)

    return mark_async(__anext__)


def get(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Queue.get`."""

    async def received(self: Any, args: Any, kwargs: Any) -> Any:
        _done_with_the_last(self)
        try:
            message = await original(self, *args, **kwargs)
        except QueueEmpty:
            depth.note(self, 0)
            raise
        if message is None:
            depth.note(self, 0)
        else:
            arrived(self, message)
            depth.note(self, getattr(message, "message_count", None))
        return message

    def get(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _WAITS_APART:
            _done_with_the_last(self)
        return received(self, args, kwargs)

    return mark_async(get)


def _done_with_the_last(queue: Any) -> None:
    """Who asks for the next message is done with the last one: in the task that asks, which may be one of its own.

    Not who waits for the reply to what that message made it ask.
    """
    if not _is_left_out(queue):
        current.set_current(None)


def _is_left_out(queue: Any) -> bool:
    try:
        name = plain(queue.name)
        return is_internal_queue(name) or is_reply_queue(name, is_exclusive=getattr(queue, "exclusive", None))
    except Exception as error:
        report_hook_error(error)
        return False


def arrived(queue: Any, message: Any) -> None:
    """Record the consume checkpoint of one delivery, unless a hook further in has, and make its pathway current."""
    try:
        if _is_left_out(queue):
            if message.exchange != "":  # no reply: what was current before has nothing to do with it
                current.set_current(None)
        elif recall(message) is None:
            _consumed(plain(queue.name), message)
    except Exception as error:
        current.set_current(None)
        report_hook_error(error)


def _consumed(queue: str, message: Any) -> None:
    headers = message.headers or {}
    header = context_in(headers)
    size = body_bytes(message.body)
    size = None if size is None else size + bytes_of(headers)
    pathway = checkpoint.consume(
        in_edge(queue), header, size, published_ns(message.timestamp) if header is None else None
    )
    if pathway is not None:
        remember(message, pathway)


def pathway_of(message: Any) -> Context | None:
    """Return the pathway of a consumed message; None for anything else.

    A message that was consumed before its queue was wrapped does not say from which queue: its pathway goes on as it
    came, without this hop.
    """
    if not isinstance(message, IncomingMessage):
        return None
    pathway = recall(message)
    if pathway is not None:
        return pathway
    return checkpoint.incoming_pathway(context_in(message.headers or {}), published_ns(message.timestamp))


class Switch:
    """Whether the hooks on aio-pika's classes are in force: callbacks that were given meanwhile live longer."""

    is_on: bool = False


instrumented: Switch = Switch()


def _following(callback: Any, queue: Any) -> Any:
    """Return what to call instead of the user's callback; an iterator's, and one of ours, stay what they are."""
    try:
        return _around(callback, queue)
    except Exception as error:
        report_hook_error(error)
        return callback


def _around(callback: Any, queue: Any) -> Any:
    if isinstance(getattr(callback, "__self__", None), AbstractQueueIterator):
        return callback
    if getattr(callback, _FOLLOWED, None) == queue.name or current.is_consume_suppressed():
        return callback
    call, is_wrapped = _awaitable(callback), hasattr(queue, "_asyncdsm_follows")

    async def deliver(message: Any) -> Any:
        current.set_current(None)  # its task was made where its channel was opened
        if is_wrapped or instrumented.is_on:
            arrived(queue, message)
        return await call(message)

    setattr(deliver, _FOLLOWED, queue.name)
    return deliver


def _awaitable(callback: Any) -> Any:
    if hasattr(tools, "ensure_awaitable"):  # since aio-pika 9.1: it warns of functions that are not coroutines
        return tools.ensure_awaitable(callback)

    async def call(message: Any) -> Any:
        result = callback(message)
        return await result if isawaitable(result) else result

    return call
