"""Events on their way to the client's producers: each is replaced by a copy that carries its context.

An event is encoded when it enters a batch, so it gets its context before, and its parent is what is current then: at
`EventDataBatch.add`, or at `send_batch` and `send_event`, also where these only put it into a buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from azure.eventhub import EventDataBatch

from asyncdsm.integration import Hooks, after, after_await, guarded, is_async
from asyncdsm_eventhub.edges import out_edges
from asyncdsm_eventhub.events import prepare_event, without_context

_hooks = Hooks()  # on single objects, never removed


def hook_create_batch(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `create_batch` of a producer client."""
    return (after_await if is_async(original) else after)(_follow_batch)(original)


def _follow_batch(batch: Any, client: Any, *_args: Any, **_more: Any) -> None:
    hub = client.eventhub_name

    def hook_add(original: Callable[..., Any]) -> Callable[..., Any]:
        def add(batch: Any, event_data: Any, *args: Any, **kwargs: Any) -> Any:
            prepared = _prepare(hub, event_data)
            if prepared is None:
                return original(batch, event_data, *args, **kwargs)
            try:
                return original(batch, prepared, *args, **kwargs)
            except ValueError:  # it may fit without the context
                return original(batch, without_context(prepared), *args, **kwargs)

        return add

    _hooks.put(batch, "add", hook_add)


@guarded
def _prepare(hub: str, event: Any) -> Any:
    """Return the copy of an event, or a list of copies; None if there is nothing to replace."""
    edge = out_edges[hub]
    if isinstance(event, list | tuple):
        copies = [prepare_event(edge, each) for each in event]
        return copies if any(made is not each for made, each in zip(copies, event, strict=True)) else None
    made = prepare_event(edge, event)
    return None if made is event else made


def _without_contexts(prepared: Any) -> Any:
    if isinstance(prepared, list):
        return [without_context(each) for each in prepared]
    return without_context(prepared)


def hook_load(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `_batch_preparer` of a producer client, which makes a batch of a list.

    A list that is too large with contexts may fit without them.
    """

    def load(client: Any, event_data_batch: Any, *args: Any, **kwargs: Any) -> Any:
        events = _read(event_data_batch)
        return _call(original, client, events, args, kwargs)

    async def load_async(client: Any, event_data_batch: Any, *args: Any, **kwargs: Any) -> Any:
        events = _read(event_data_batch)
        return await _call_async(original, client, events, args, kwargs)

    return load_async if is_async(original) else load


def hook_buffer(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `_buffered_send` of a producer client, which puts an event, a list or a batch into its buffer."""

    def buffer(client: Any, events: Any, *args: Any, **kwargs: Any) -> Any:
        return _call(original, client, events, args, kwargs)

    async def buffer_async(client: Any, events: Any, *args: Any, **kwargs: Any) -> Any:
        return await _call_async(original, client, events, args, kwargs)

    return buffer_async if is_async(original) else buffer


def _call(original: Any, client: Any, events: Any, args: Any, kwargs: Any) -> Any:
    prepared = _prepare(client.eventhub_name, events)
    if prepared is None:
        return original(client, events, *args, **kwargs)
    try:
        return original(client, prepared, *args, **kwargs)
    except ValueError:
        return original(client, _without_contexts(prepared), *args, **kwargs)


async def _call_async(original: Any, client: Any, events: Any, args: Any, kwargs: Any) -> Any:
    prepared = _prepare(client.eventhub_name, events)
    if prepared is None:
        return await original(client, events, *args, **kwargs)
    try:
        return await original(client, prepared, *args, **kwargs)
    except ValueError:
        return await original(client, _without_contexts(prepared), *args, **kwargs)


def _read(events: Any) -> Any:
    """Return a list in the place of what can be read only once, as the client would read it."""
    if isinstance(events, EventDataBatch) or not isinstance(events, Iterable):
        return events
    return list(events) if isinstance(events, Iterator) else events
