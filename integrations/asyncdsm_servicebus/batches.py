"""Batches that the caller fills: `create_message_batch`, `add_message`, `send_messages`.

A message is encoded when it enters a batch, so it gets its context there, and its parent is what is current then. It
counts when the batch is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from azure.servicebus.exceptions import MessageSizeExceededError

from asyncdsm.integration import (
    Edge,
    Hook,
    Hooks,
    PendingProduce,
    after,
    after_await,
    begin_produce,
    finish_produce,
    guarded,
    is_async,
    record_not_propagated,
)
from asyncdsm_servicebus.edges import out_edges
from asyncdsm_servicebus.messages import begin_message, without_context


class Departure(NamedTuple):
    """A message that is about to be sent."""

    pending: PendingProduce
    is_propagated: bool = True
    """Whether it carries its context: there may be no room."""

    def count_sent(self) -> None:
        """Count the message, which Service Bus has taken."""
        finish_produce(self.pending)
        if not self.is_propagated:
            record_not_propagated()


_hooks = Hooks()  # on single objects, never removed
_departures: WeakKeyDictionary[Any, list[Departure]] = WeakKeyDictionary()


def hook_create_batch(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `ServiceBusSender.create_message_batch`."""
    return (after_await if is_async(original) else after)(_follow_batch)(original)


def _follow_batch(batch: Any, sender: Any, /, *_args: Any, **_more: Any) -> None:
    departures = _departures[batch] = []
    _hooks.put(batch, "add_message", _make_add_hook(sender.entity_name, departures))


def _make_add_hook(topic: str, departures: list[Departure]) -> Hook:
    def hook(original: Callable[..., Any]) -> Callable[..., Any]:
        def add_message(batch: Any, /, message: Any, *args: Any, **kwargs: Any) -> Any:
            pending, prepared = _begin(topic, message) or (None, message)
            if pending is None:
                return original(batch, message, *args, **kwargs)
            departure = Departure(pending)
            try:
                result = original(batch, prepared, *args, **kwargs)
            except MessageSizeExceededError:
                result = original(batch, _bare(message) or message, *args, **kwargs)  # it may fit without
                departure = Departure(pending, is_propagated=False)
            departures.append(departure)
            return result

        return add_message

    return hook


@guarded
def _begin(topic: str, message: Any) -> tuple[PendingProduce | None, Any]:
    return begin_message(out_edges[topic], message)


_bare = guarded(without_context)


def departures_of(batch: Any, edge: Edge) -> list[Departure]:
    """Return the messages of a batch. Those that were added unobserved go without a context, on `edge`."""
    departures = list(_departures.get(batch, ()))
    for _ in range(len(batch) - len(departures)):
        pending = begin_produce(edge)
        if pending is not None:
            departures.append(Departure(pending, is_propagated=False))
    return departures
