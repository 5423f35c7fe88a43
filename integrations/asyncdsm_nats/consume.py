"""Messages consumed by a callback, by `next_msg`, by `async for`, or by `fetch`.

A message counts when the program's code gets it, in the task that gets it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

from nats.aio.subscription import _SubscriptionMessageIterator

from asyncdsm.integration import (
    HEADER,
    Hook,
    Hooks,
    Pathway,
    consume,
    count_deliveries,
    current_task,
    follow_batch,
    guarded,
    incoming_pathway,
    is_consume_suppressed,
    lookup_pathway,
    mark_async,
    receive_async,
    report_hook_error,
    set_current,
    store_entry,
)
from asyncdsm_nats.metadata import read_metadata
from asyncdsm_nats.produce import measure_headers
from asyncdsm_nats.subjects import in_edges, is_left_out, topics
from asyncdsm_nats.unread import note_unread

class_hooks: Hooks = Hooks()
"""The hooks on the client's classes. A subscription that was made meanwhile may live longer."""


class Source:
    """Where messages come from: a subscription."""

    __slots__ = ("client", "group", "is_wrapped")

    def __init__(self, client: Any, group: str | None, *, is_wrapped: bool) -> None:
        self.client: Any = client
        self.group: str | None = group
        """A queue group or a durable consumer; "" for a consumer without a name, None if each message says it."""
        self.is_wrapped: bool = is_wrapped
        """Whether its connection is followed for itself, and not only while all of them are."""

    @property
    def is_followed(self) -> bool:
        """Whether its messages count."""
        return self.is_wrapped or class_hooks.is_on_classes

    def count_message(self, message: Any) -> Pathway | None:
        """Record the consume checkpoint of a message, and make its pathway current. **Hot**.

        Returns None, with nothing recorded or changed, if its messages do not count.
        """
        try:
            return self._consume(message) if self.is_followed else None
        except Exception as error:
            set_current(None)
            report_hook_error(error)
            return None

    def clear_current(self) -> None:
        """Let no pathway be current: whoever asks for the next message has finished the last one."""
        try:
            if self.is_followed:
                set_current(None)
        except Exception as error:
            set_current(None)
            report_hook_error(error)

    def _consume(self, message: Any) -> Pathway | None:
        if is_left_out(message.subject, self.client):
            set_current(None)
            return None
        metadata, headers = read_metadata(message), message.headers
        header, size = None, len(message.data)
        if headers:
            header = headers.get(HEADER)
            size += measure_headers(headers)
        group = self.group
        if group is None:
            group = "" if metadata is None else metadata.consumer
        edge = in_edges[topics[message.subject], group]
        pathway = consume(edge, header, size, None if metadata is None or header else metadata.stored_ns)
        if pathway is not None:
            store_entry((id(message), *_place_of(message), pathway))
            if metadata is not None:
                count_deliveries(edge, redelivered=metadata.deliveries > 1)
                note_unread(self.client, group, metadata)
        return pathway


def make_next_hook(source: Source) -> Hook:
    """Return the hook of `next_msg` of one subscription."""

    def hook(original: Callable[..., Any]) -> Callable[..., Any]:
        def next_msg(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
            return _receive_next(source, partial(original, owner, *args, **kwargs))

        return mark_async(next_msg)

    return hook


def make_fetch_hook(source: Source) -> Hook:
    """Return the hook of `fetch` of one pull subscription."""

    def hook(original: Callable[..., Any]) -> Callable[..., Any]:
        def fetch(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
            return _receive_batch(source, partial(original, owner, *args, **kwargs))

        return mark_async(fetch)

    return hook


def _receive_next(source: Source, ask: Callable[[], Any]) -> Any:
    """Return a coroutine that asks for a message, and counts it."""

    def record(message: Any) -> Any:
        source.count_message(message)
        return message

    return receive_async(ask, source.clear_current, record)


def _receive_batch(source: Source, ask: Callable[[], Any]) -> Any:
    """Return a coroutine that asks for a list of messages, and counts them."""
    asked_in = current_task()

    def record(messages: list[Any]) -> list[Any]:
        return _record_batch(source, messages, asked_in) or messages

    return receive_async(ask, source.clear_current, record)


@guarded
def _record_batch(source: Source, messages: list[Any], asked_in: Any) -> list[Any] | None:
    """Record the messages of a batch, and return the list for the program. None if they do not count."""
    if not source.is_followed:
        return None
    return follow_batch(messages, [source.count_message(message) for message in messages], asked_in)


class FollowedIterator(_SubscriptionMessageIterator):
    """The iterator of a subscription, whose messages count as the program gets them."""

    _asyncdsm_source: Source

    def __anext__(self) -> Any:
        return _receive_next(self._asyncdsm_source, super().__anext__)


def follow_iterator(iterator: Any, source: Source) -> None:
    """Follow the iterator of a subscription, if it has the client's own class."""
    if type(iterator) is _SubscriptionMessageIterator:
        followed: Any = iterator  # for a type checker it still has the client's class
        followed.__class__, followed._asyncdsm_source = FollowedIterator, source


@guarded
def wrap_callback(callback: Any, source: Source) -> Any:
    """Return the function to call in place of a callback; None for a callback that stays as it is.

    That is one of a layer above, which counts itself, and one that the client refuses.
    """
    if not iscoroutinefunction(getattr(callback, "func", callback)) or is_consume_suppressed():
        return None

    async def run_callback(message: Any) -> Any:
        source.clear_current()  # the client's task has the pathway of whoever subscribed
        source.count_message(message)
        return await callback(message)

    return run_callback


def pathway_of_message(message: Any) -> Pathway | None:
    """Return the pathway of a message: of its delivery if that was counted, or else the one that it brings."""
    pathway = lookup_pathway(message, _place_of(message))
    if pathway is not None:
        return pathway
    header = (message.headers or {}).get(HEADER)
    metadata = None if header else read_metadata(message)
    return incoming_pathway(header, None if metadata is None else metadata.stored_ns)


def _place_of(message: Any) -> tuple[Any, ...]:
    return message.subject, message.reply, message._sid
