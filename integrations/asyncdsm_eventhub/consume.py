"""Events that callbacks get: one by one, or in batches.

An event counts when the callback is called, and is current until the callback has returned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asyncdsm.integration import (
    Hook,
    Hooks,
    Pathway,
    follow_batch,
    guarded,
    is_async,
    mark_async,
    report_hook_error,
    set_current,
)
from asyncdsm.integration.formats.azure import consume_delivery, find_delivered_pathway, read_property
from asyncdsm_eventhub.edges import in_edges
from asyncdsm_eventhub.events import measure
from asyncdsm_eventhub.lag import Ends

class_hooks: Hooks = Hooks()
"""The hooks on the client's classes. A call of `receive` made meanwhile may last longer."""


class Reception:
    """One call of `receive` or `receive_batch`."""

    def __init__(self, callback: Callable[..., Any], *, is_wrapped: bool) -> None:
        self._callback, self._is_wrapped = callback, is_wrapped
        self.ends: Ends = Ends()

    def handle(self, /, context: Any, event: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the program's callback with an event, a list of them, or None if there was none for a while. **Hot**."""
        if not (self._is_wrapped or class_hooks.is_on_classes):
            return self._callback(context, event, *args, **kwargs)
        event = self._count_events(context, event)
        try:
            return self._callback(context, event, *args, **kwargs)
        finally:
            set_current(None)

    async def handle_async(self, /, context: Any, event: Any, *args: Any, **kwargs: Any) -> Any:
        """Do the same for a callback that is a coroutine function. **Hot**."""
        if not (self._is_wrapped or class_hooks.is_on_classes):
            return await self._callback(context, event, *args, **kwargs)
        event = self._count_events(context, event)
        try:
            return await self._callback(context, event, *args, **kwargs)
        finally:
            set_current(None)

    def _count_events(self, context: Any, event: Any) -> Any:
        """Count what the callback is to get, and return it: a list that knows the pathways of its events."""
        try:
            set_current(None)
            if not event:
                return event
            if not isinstance(event, list):
                count_event(context, event)
                self.ends.note_end(context, event)
                return event
            self.ends.note_end(context, event[-1])
            pathways = [count_event(context, each) for each in event]
            edge = in_edges[context.eventhub_name, context.consumer_group]
            return follow_batch(event, pathways, None, [edge] * len(event))
        except Exception as error:
            set_current(None)
            report_hook_error(error)
            return event


def make_receive_hook(name: str, *, is_wrapped: bool) -> Hook:
    """Return the hook of a method that takes a callback, called `name`."""

    def hook(original: Callable[..., Any]) -> Callable[..., Any]:
        is_coroutine = is_async(original)

        def receive(client: Any, /, *args: Any, **kwargs: Any) -> Any:
            callback = args[0] if args else kwargs.get(name)
            replaced = _replace_callbacks(callback, kwargs, is_wrapped=is_wrapped, is_coroutine=is_coroutine)
            if replaced is None:
                return original(client, *args, **kwargs)
            handler, kwargs = replaced
            if args:
                return original(client, handler, *args[1:], **kwargs)
            return original(client, **{**kwargs, name: handler})

        return mark_async(receive) if is_coroutine else receive

    return hook


@guarded
def _replace_callbacks(
    callback: Any, kwargs: dict[str, Any], *, is_wrapped: bool, is_coroutine: bool
) -> tuple[Callable[..., Any], dict[str, Any]] | None:
    """Return the callback and the keywords for the client; None for what it will refuse."""
    if not callable(callback):
        return None
    reception = Reception(callback, is_wrapped=is_wrapped)
    handler = reception.handle_async if is_coroutine else reception.handle
    if not kwargs.get("track_last_enqueued_event_properties"):
        return handler, kwargs
    close = reception.ends.make_close_callback(kwargs.get("on_partition_close"), is_coroutine=is_coroutine)
    return handler, {**kwargs, "on_partition_close": close}


def count_event(context: Any, event: Any) -> Pathway | None:
    """Record the consume checkpoint of an event, and make its pathway current. **Hot**.

    Returns None, with nothing recorded or changed, if it does not count.
    """
    try:
        edge = in_edges[context.eventhub_name, context.consumer_group]
        header = read_property(event.properties)
        enqueued = None if header is not None else event.enqueued_time
        return consume_delivery(edge, event, measure(event), header, enqueued)
    except Exception as error:
        set_current(None)
        report_hook_error(error)
        return None


def pathway_of_event(event: Any) -> Pathway | None:
    """Return the pathway of an event: of its delivery if that was counted, or else the one that it brings."""
    return find_delivered_pathway(event, event.properties, event.enqueued_time)
