"""Following a client: the senders and receivers that it makes."""

from __future__ import annotations

from typing import Any

from azure.servicebus import ServiceBusClient, ServiceBusReceiver, ServiceBusSender, aio

from asyncdsm.integration import Hook, Hooks, after
from asyncdsm_servicebus.batches import hook_create_batch
from asyncdsm_servicebus.consume import hook_next, hook_receive, hook_receive_deferred
from asyncdsm_servicebus.produce import hook_schedule, hook_send

CLIENTS: tuple[type, ...] = ServiceBusClient, aio.ServiceBusClient
SENDERS: tuple[type, ...] = ServiceBusSender, aio.ServiceBusSender
RECEIVERS: tuple[type, ...] = ServiceBusReceiver, aio.ServiceBusReceiver

OF_SENDERS: dict[str, Hook] = {
    "create_message_batch": hook_create_batch,
    "schedule_messages": hook_schedule,
    "send_messages": hook_send,
}
OF_RECEIVERS: dict[str, Hook] = {
    "receive_deferred_messages": hook_receive_deferred,
    "receive_messages": hook_receive,
}
NEXT: dict[type, str] = {ServiceBusReceiver: "_inner_next", aio.ServiceBusReceiver: "_inner_anext"}
"""What all iterators of a receiver call for each message, in the task or thread that iterates."""
MAKERS = "get_queue_sender", "get_topic_sender", "get_queue_receiver", "get_subscription_receiver"
_hooks = Hooks()  # on single objects, never removed


def hook_all(hooks: Hooks) -> None:
    """Put hooks on the classes of senders and receivers."""
    for cls in SENDERS:
        hooks.put_all(cls, OF_SENDERS)
    for cls in RECEIVERS:
        hooks.put_all(cls, {**OF_RECEIVERS, NEXT[cls]: hook_next})


def follow_any(client: Any) -> None:
    """Follow one client, sender or receiver."""
    if isinstance(client, SENDERS):
        _hooks.put_all(client, OF_SENDERS)
    elif isinstance(client, RECEIVERS):
        name = next(name for cls, name in NEXT.items() if isinstance(client, cls))
        _hooks.put_all(client, {**OF_RECEIVERS, name: hook_next})
    else:
        _hooks.put_all(client, dict.fromkeys(MAKERS, observe_made))


@after
def observe_made(made: Any, _client: Any, /, *_args: Any, **_more: Any) -> None:
    """Follow a sender or a receiver that a client has made."""
    follow_any(made)
