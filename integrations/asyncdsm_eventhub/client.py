"""Following a client: its producers and batches, or what it receives."""

from __future__ import annotations

from typing import Any

from azure.eventhub import EventHubConsumerClient, EventHubProducerClient, aio
from azure.eventhub._producer import EventHubProducer
from azure.eventhub.aio._producer_async import EventHubProducer as AsyncEventHubProducer

from asyncdsm.integration import Hook, Hooks, after
from asyncdsm_eventhub.consume import make_receive_hook
from asyncdsm_eventhub.prepare import hook_create_batch, hook_events
from asyncdsm_eventhub.produce import hook_send

PRODUCERS: tuple[type, ...] = EventHubProducerClient, aio.EventHubProducerClient
CONSUMERS: tuple[type, ...] = EventHubConsumerClient, aio.EventHubConsumerClient

OF_PRODUCERS: dict[str, Hook] = {
    "_batch_preparer": hook_events,
    "_buffered_send": hook_events,
    "create_batch": hook_create_batch,
}
_hooks = Hooks()  # on single objects, never removed


def hook_clients(hooks: Hooks) -> None:
    """Put hooks on the classes of clients."""
    for cls in PRODUCERS:
        hooks.put_all(cls, OF_PRODUCERS)
    for producer in (EventHubProducer, AsyncEventHubProducer):
        hooks.put(producer, "send", hook_send)
    for cls in CONSUMERS:
        hooks.put_all(cls, _of_consumers(is_wrapped=False))


def follow_any(client: Any) -> None:
    """Follow one client."""
    if isinstance(client, CONSUMERS):
        _hooks.put_all(client, _of_consumers(is_wrapped=True))
        return
    _hooks.put_all(client, {**OF_PRODUCERS, "_create_producer": observe_producer})
    for producer in client._producers.values():
        if producer is not None:
            _hooks.put(producer, "send", hook_send)


@after
def observe_producer(producer: Any, _client: Any, /, *_args: Any, **_more: Any) -> None:
    """Follow a producer that a client has made: it has one for each partition."""
    _hooks.put(producer, "send", hook_send)


def _of_consumers(*, is_wrapped: bool) -> dict[str, Hook]:
    return {
        "receive": make_receive_hook("on_event", is_wrapped=is_wrapped),
        "receive_batch": make_receive_hook("on_event_batch", is_wrapped=is_wrapped),
    }
