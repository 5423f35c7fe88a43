"""The asyncio clients: classes in Python around a C client, which they drive in the threads of a pool.

Messages that those threads receive are counted by the hooks of the C client. Here they become current, in the task that
awaits them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from typing import Any

from asyncdsm._internal.futures import peek_exception
from asyncdsm.integration import (
    Hook,
    Pathway,
    current_task,
    ensure_recorder,
    follow_batch,
    guarded,
    mark_async,
    report_hook_error,
    set_current,
)
from asyncdsm_confluent.classes import HookSet, c_classes
from asyncdsm_confluent.client import Client, client_of
from asyncdsm_confluent.consume import find_edges, find_message_pathway
from asyncdsm_confluent.produce import add_context, begin_without_context, count_produced, warn_no_headers
from asyncdsm_confluent.proxy import make_proxy
from asyncdsm_confluent.schemas import note_produced_schema, produced_subjects, watch_serializers


def _hook_receive(make_current: Callable[[Any, Any, Any], Any]) -> Hook:
    """Return a hook of a method that receives.

    `make_current` takes the client, what was received and the task of the caller, and returns what the program gets.
    """

    def hook(original: Callable[..., Any]) -> Callable[..., Any]:
        async def receive(self: Any, args: Any, kwargs: Any, asked_in: Any) -> Any:
            received = await original(self, *args, **kwargs)
            try:
                return make_current(self, received, asked_in)
            except Exception as error:
                report_hook_error(error)
                return received

        def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            # Cleared here, not after the await: before Python 3.12 `asyncio.wait_for` awaits in a task of its own.
            set_current(None)
            follow_inner_client(self)
            return receive(self, args, kwargs, current_task())

        return mark_async(call)

    return hook


def _make_message_current(_client: Any, message: Any, _asked_in: Any) -> Any:
    set_current(_find_pathway(message))
    return message


def _make_batch_current(client: Any, messages: Any, asked_in: Any) -> Any:
    if ensure_recorder() is None or not isinstance(messages, list):
        return messages
    inner = getattr(client, "_consumer", None)
    edges = None if inner is None else find_edges(client_of(inner), messages)
    return follow_batch(messages, [_find_pathway(message) for message in messages], asked_in, edges)


@guarded
def _find_pathway(message: Any) -> Pathway | None:
    return None if message is None or ensure_recorder() is None else find_message_pathway(message)


@guarded
def follow_inner_client(client: Any) -> None:
    """Follow the client that an asyncio client drives. It makes nothing current itself, and counts nothing produced."""
    for name in ("_consumer", "_producer"):
        inner = getattr(client, name, None)
        if type(inner) in c_classes():  # made before its class was followed
            inner = make_proxy(inner)
            setattr(client, name, inner)
        if inner is not None:
            client_of(inner).is_inside_aio = True


def hook_async_produce(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AIOProducer.produce`. Whether a producer takes headers, its first message shows."""

    async def produce(self: Any, /, topic: Any, value: Any = None, key: Any = None, *args: Any, **kwargs: Any) -> Any:
        client, pending, headers = None, None, kwargs.get("headers")
        sent = headers
        try:
            client = _client_of_async(self)
            pending, sent = add_context(client, topic, value, key, headers, adds_header=client.adds_headers)
        except Exception as error:
            report_hook_error(error)
        if client is None or sent is headers:
            future = await original(self, topic, value, key, *args, **kwargs)
        else:
            try:
                future = await original(self, topic, value, key, *args, **{**kwargs, "headers": sent})
            except (NotImplementedError, TypeError) as error:
                if headers is not None or "eaders" not in str(error):
                    raise
                client.adds_headers = False
                warn_no_headers("AIOProducer", "Producer")
                pending, sent = begin_without_context(client, topic, value, key, headers), headers
                future = await original(self, topic, value, key, *args, **kwargs)
        if client is not None and pending is not None:
            count_produced(pending, headers, is_propagated=sent is not headers)
            if produced_subjects and topic in produced_subjects:
                note_produced_schema(client.out_edges[topic], topic, value)
            _await_delivery(client, self, future)
        return future

    return produce


def _client_of_async(producer: Any) -> Client:
    """Return what is known of an asyncio producer. The C producer inside it has the transactions."""
    client: Client | None = vars(producer).get("_asyncdsm")
    if client is None:
        watch_serializers()
        client = producer._asyncdsm = Client()
        follow_inner_client(producer)
    return client


@guarded
def _await_delivery(client: Client, producer: Any, answer: Any) -> None:
    """Have the offset recorded once the broker has acknowledged a message."""
    answer.add_done_callback(functools.partial(_record_delivery, client, producer))


@guarded
def _record_delivery(client: Client, producer: Any, answer: Any) -> None:
    """Record the offset of a message. This runs in the event loop, not in a callback of C."""
    if ensure_recorder() is None or answer.cancelled() or peek_exception(answer) is not None:
        return
    client.ask_cluster_id(producer._producer, has_answered=True)
    message = answer.result()
    client.record_produced(message.topic(), message.partition(), message.offset())


@functools.cache
def asyncio_classes() -> dict[type, HookSet]:
    """Return the asyncio clients of this release, if it has any, with their hooks."""
    classes = dict[type, HookSet]()
    for path in ("confluent_kafka.aio", "confluent_kafka.experimental.aio"):
        try:
            module: Any = import_module(path)
        except ImportError:
            continue
        for name, hooks in _HOOKS.items():
            if isinstance(own := getattr(module, name, None), type):
                classes[own] = hooks
    return classes


_hook_batch = _hook_receive(_make_batch_current)
_HOOKS: dict[str, HookSet] = {
    "AIOProducer": {"produce": hook_async_produce},
    "AIOConsumer": {"poll": _hook_receive(_make_message_current), "consume": _hook_batch},
    "AsyncDeserializingConsumer": {"consume": _hook_batch},
}
