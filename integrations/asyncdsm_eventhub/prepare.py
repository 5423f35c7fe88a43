"""Events on their way to the client's producers: each is replaced by a copy that carries its context.

An event is encoded when it enters a batch, so it gets its context before, and its parent is what is current then: at
`EventDataBatch.add`, or at `send_batch` and `send_event`, also where these only put it into a buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from asyncdsm.integration import Hooks, after, after_await, guarded, is_async
from asyncdsm_eventhub.edges import out_edges
from asyncdsm_eventhub.events import prepare_event, without_context

_hooks = Hooks()  # on single objects, never removed


def hook_create_batch(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `create_batch` of a producer client."""
    return (after_await if is_async(original) else after)(_follow_batch)(original)


def _follow_batch(batch: Any, client: Any, /, *_args: Any, **_more: Any) -> None:
    hub = client.eventhub_name

    def hook_add(original: Callable[..., Any]) -> Callable[..., Any]:
        def add(batch: Any, /, event_data: Any, *args: Any, **kwargs: Any) -> Any:
            prepared = _prepare_events(hub, event_data)
            if prepared is None:
                return original(batch, event_data, *args, **kwargs)
            try:
                return original(batch, prepared, *args, **kwargs)
            except ValueError:  # it may fit without the context
                return original(batch, _shrink(prepared) or event_data, *args, **kwargs)

        return add

    _hooks.put(batch, "add", hook_add)


@guarded
def _prepare_events(hub: str, event: Any) -> Any:
    """Return the copy of an event, or a list of copies; None if there is nothing to replace."""
    edge = out_edges[hub]
    if isinstance(event, list | tuple):
        copies = [prepare_event(edge, each) for each in event]
        return copies if any(made is not each for made, each in zip(copies, event, strict=True)) else None
    made = prepare_event(edge, event)
    return None if made is event else made


@guarded
def _shrink(prepared: Any) -> Any:
    """Return the same copies without contexts."""
    if isinstance(prepared, list):
        return [without_context(each) for each in prepared]
    return without_context(prepared)


def hook_events(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook what a producer client calls with an event, a list or a batch.

    `_batch_preparer` makes a batch of a list, `_buffered_send` puts into the buffer. What is too large with contexts
    may fit without them.
    """

    def call(client: Any, /, *given: Any, **kwargs: Any) -> Any:
        if not given:
            return original(client, **kwargs)
        events, *args = given
        events = list(events) if isinstance(events, Iterator) else events  # it can be read only once
        prepared = _prepare_events(client.eventhub_name, events)
        if prepared is None:
            return original(client, events, *args, **kwargs)
        try:
            return original(client, prepared, *args, **kwargs)
        except ValueError:
            return original(client, _shrink(prepared) or events, *args, **kwargs)

    async def call_async(client: Any, /, *given: Any, **kwargs: Any) -> Any:
        if not given:
            return await original(client, **kwargs)
        events, *args = given
        events = list(events) if isinstance(events, Iterator) else events
        prepared = _prepare_events(client.eventhub_name, events)
        if prepared is None:
            return await original(client, events, *args, **kwargs)
        try:
            return await original(client, prepared, *args, **kwargs)
        except ValueError:
            return await original(client, _shrink(prepared) or events, *args, **kwargs)

    return call_async if is_async(original) else call
