"""How FastStream reads Redis streams: its client leaves these entries as they are, since the middleware counts them.

FastStream hands on the envelope inside an entry, so an entry that redis-py's integration has counted could not be
recognized. Lists and channels have no other integration.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

from asyncdsm.integration import (
    Hooks,
    allow_nested_checkpoints,
    guarded,
    lookup_pathway,
    mark_async,
    set_current,
    suppress_nested_checkpoints,
)
from asyncdsm_faststream.redis_messages import find_place

_hooks = Hooks()  # never removed: brokers keep the middleware that they were made with
_reading_subscriber: ContextVar[Any] = ContextVar("asyncdsm_faststream_reading", default=None)


@contextmanager
def _reading(subscriber: Any) -> Iterator[None]:
    """Keep clients below from counting inside the block, and from taking the field with the context off entries."""
    before = _reading_subscriber.get()
    _reading_subscriber.set(subscriber)
    try:
        with suppress_nested_checkpoints(consumes=True, takes_contexts=True):
            yield
    finally:
        _reading_subscriber.set(before)


def current_reader() -> Any:
    """Return the subscriber whose `get_one` or iteration reads here; None if there is none."""
    return _reading_subscriber.get()


@contextmanager
def above_reads() -> Iterator[None]:
    """Let the middleware count inside the block, though FastStream calls it while it reads."""
    if _reading_subscriber.get() is None:
        yield
        return
    with allow_nested_checkpoints():
        yield


def keep_reads_uncounted(is_followed: Callable[[Any], bool]) -> None:
    """Keep clients below from counting what subscribers read, if FastStream's Redis broker is in use.

    `is_followed` says whether a subscriber has the middleware.
    """
    if "faststream.redis" not in sys.modules:
        return
    from faststream.redis.subscriber.usecases import basic, stream_subscriber  # noqa: PLC0415

    is_followed_guarded = guarded(is_followed)
    _hooks.put(basic.LogicSubscriber, "start", _make_start_hook(is_followed_guarded))
    for kind in (stream_subscriber.StreamSubscriber, stream_subscriber.StreamBatchSubscriber):
        _hooks.put(kind, "get_one", _make_get_hook(is_followed_guarded))
        _hooks.put(kind, "__aiter__", _make_iterate_hook(is_followed_guarded))


def _make_start_hook(is_followed: Callable[[Any], bool | None]) -> Callable[..., Any]:
    def hook(original: Callable[..., Any]) -> Callable[..., Any]:
        def start(subscriber: Any, /, *args: Any, **kwargs: Any) -> Any:
            """`args` are what the subscriber's task calls to read."""
            if is_followed(subscriber):
                args = tuple(_read_uncounted(subscriber, each) if callable(each) else each for each in args)
            return original(subscriber, *args, **kwargs)

        return mark_async(start)

    return hook


def _read_uncounted(subscriber: Any, read: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(read)
    async def read_uncounted(*args: Any, **kwargs: Any) -> Any:
        with _reading(subscriber):
            return await read(*args, **kwargs)

    return read_uncounted


def _make_get_hook(is_followed: Callable[[Any], bool | None]) -> Callable[..., Any]:
    def hook(original: Callable[..., Any]) -> Callable[..., Any]:
        async def get_one(subscriber: Any, /, *args: Any, **kwargs: Any) -> Any:
            if not is_followed(subscriber):
                return await original(subscriber, *args, **kwargs)
            with _reading(subscriber):
                message = await original(subscriber, *args, **kwargs)
            _make_current(message)
            return message

        return mark_async(get_one)

    return hook


def _make_iterate_hook(is_followed: Callable[[Any], bool | None]) -> Callable[..., Any]:
    def hook(original: Callable[..., Any]) -> Callable[..., Any]:
        async def iterate(subscriber: Any) -> AsyncIterator[Any]:
            messages = original(subscriber)
            while True:
                try:
                    if is_followed(subscriber):
                        with _reading(subscriber):
                            message = await anext(messages)
                        _make_current(message)
                    else:
                        message = await anext(messages)
                except StopAsyncIteration:
                    return
                yield message

        return iterate

    return hook


@guarded
def _make_current(message: Any) -> None:
    """Make the pathway of a message current that the middleware has counted."""
    raw = getattr(message, "raw_message", None)
    set_current(lookup_pathway(raw, find_place(raw)) if isinstance(raw, dict) else None)
