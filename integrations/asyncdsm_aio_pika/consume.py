"""Messages consumed by a callback, by an iterator, or by `get`.

A message counts when the user's code gets it, in the task that gets it: what an iterator has fetched ahead may go back
to the broker. Replies to one caller, and queues that live only as long as their process, are left out (`formats.amqp`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from inspect import isawaitable
from typing import Any

from aio_pika import Message, tools
from aio_pika.abc import AbstractQueueIterator
from aio_pika.exceptions import QueueEmpty

from asyncdsm.integration import (
    Hooks,
    Pathway,
    guarded,
    is_consume_suppressed,
    lookup_pathway,
    mark_async,
    receive_async,
    report_hook_error,
    set_current,
    store_pathway,
)
from asyncdsm.integration.formats.amqp import (
    PATHWAY_SLOT,
    RABBITMQ,
    in_edges,
    is_left_out,
    record_consume,
    to_wire_name,
)
from asyncdsm_aio_pika.queue_depth import note_depth

FOLLOWED = "_asyncdsm_follows"
"""The attribute of the classes whose objects are followed one by one."""
_CALLBACK_OF = "__asyncdsm_followed__"  # the attribute of a wrapped callback that holds the name of its queue

class_hooks: Hooks = Hooks()
"""The hooks on aio-pika's classes. A callback that was given meanwhile may live longer."""
_slot: Any = vars(Message).get(PATHWAY_SLOT)
# The queue whose `consume` is running, below the first hook around it: only that one sees the callback as it was given.
_consuming: ContextVar[Any] = ContextVar("asyncdsm_consuming_queue", default=None)


def hook_consume(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Queue.consume` and `RobustQueue.consume`."""

    async def consume_hooked(self: Any, /, callback: Any, *args: Any, **kwargs: Any) -> Any:
        if _consuming.get() is self:
            return await original(self, callback, *args, **kwargs)
        with _leave_callbacks_alone(self):
            return await original(self, _wrap_callback(callback, self) or callback, *args, **kwargs)

    return mark_async(consume_hooked)


def hook_iterator_consume(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `QueueIterator.consume`, whose callback only fetches ahead."""

    async def consume_hooked(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        with _leave_callbacks_alone(self._amqp_queue):
            return await original(self, *args, **kwargs)

    return mark_async(consume_hooked)


@contextmanager
def _leave_callbacks_alone(queue: Any) -> Iterator[None]:
    """Let hooks below leave the callback of this queue as it is."""
    before = _consuming.get()
    _consuming.set(queue)
    try:
        yield
    finally:
        _consuming.set(before)  # not by a token, since a coroutine may be closed in another context


def hook_next(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `QueueIterator.__anext__`. **Hot**."""

    def __anext__(self: Any, /, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        ask, queue = partial(original, self, *args, **kwargs), self._amqp_queue
        return receive_async(ask, partial(_clear_current, queue), partial(_record_next, queue))

    return mark_async(__anext__)


def _record_next(queue: Any, message: Any) -> Any:
    record_delivery(queue, message)
    return message


def hook_get(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Queue.get`."""

    def get(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        ask = partial(_ask_for_one, self, partial(original, self, *args, **kwargs))
        return receive_async(ask, partial(_clear_current, self), partial(_record_answer, self))

    return mark_async(get)


async def _ask_for_one(queue: Any, ask: Callable[[], Any]) -> Any:
    try:
        return await ask()
    except QueueEmpty:
        note_depth(queue, 0)
        raise


def _record_answer(queue: Any, message: Any) -> Any:
    if message is not None:
        record_delivery(queue, message)
    note_depth(queue, 0 if message is None else getattr(message, "message_count", None))
    return message


def _clear_current(queue: Any) -> None:
    """Let no pathway be current: whoever asks for the next message has finished the last one.

    A queue that is left out changes nothing: whoever waits for a reply continues the message that made it ask.
    """
    try:
        if not is_left_out(to_wire_name(queue.name), getattr(queue, "exclusive", None)):
            set_current(None)
    except Exception as error:
        set_current(None)
        report_hook_error(error)


def record_delivery(queue: Any, message: Any) -> None:
    """Record the consume checkpoint of a message, unless a hook below has, and make its pathway current. **Hot**."""
    try:
        name = to_wire_name(queue.name)
        if is_left_out(name, getattr(queue, "exclusive", None)):
            if message.exchange != "":  # not a reply, so it has nothing to do with what was current before
                set_current(None)
        elif find_pathway(message) is None:
            edge, is_redelivered = in_edges[name, RABBITMQ], getattr(message, "redelivered", None)
            pathway = record_consume(edge, message.headers, message.body, message.timestamp, is_redelivered)
            if pathway is not None:
                _keep_pathway(message, pathway)
    except Exception as error:
        set_current(None)
        report_hook_error(error)


def find_pathway(message: Any) -> Pathway | None:
    """Return the pathway of a message that was counted, None for any other."""
    if _slot is None:
        return lookup_pathway(message, _place_of(message))
    pathway: Pathway | None = getattr(message, PATHWAY_SLOT, None)
    return pathway


def _keep_pathway(message: Any, pathway: Pathway) -> None:
    """Keep the pathway where a program does not see it: in a slot that aio-pika does not use, if the class has it."""
    if _slot is None:
        store_pathway(message, _place_of(message), pathway)
    else:
        _slot.__set__(message, pathway)  # a message that needs no acknowledgement is locked, but for this


def _place_of(message: Any) -> tuple[Any, ...]:
    return message.consumer_tag, message.delivery_tag, message.message_id


@guarded
def _wrap_callback(callback: Any, queue: Any) -> Any | None:
    """Return the function to call in place of a callback, None for a callback that stays as it is."""
    is_iterators = isinstance(getattr(callback, "__self__", None), AbstractQueueIterator)
    if is_iterators or getattr(callback, _CALLBACK_OF, None) == queue.name or is_consume_suppressed():
        return None
    call, is_wrapped = _make_awaitable(callback), hasattr(queue, FOLLOWED)

    async def run_callback(message: Any) -> Any:
        set_current(None)  # its task has the pathway of whoever opened the channel
        if is_wrapped or class_hooks.is_on_classes:
            record_delivery(queue, message)
        return await call(message)

    setattr(run_callback, _CALLBACK_OF, queue.name)
    return run_callback


def _make_awaitable(callback: Any) -> Any:
    if hasattr(tools, "ensure_awaitable"):  # since aio-pika 9.1: it warns of functions that are not coroutines
        return tools.ensure_awaitable(callback)

    async def await_result(message: Any) -> Any:
        result = callback(message)
        return await result if isawaitable(result) else result

    return await_result
