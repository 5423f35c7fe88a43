"""The asyncio clients: classes of Python's around one of C's, which they drive in threads of a pool.

What those threads receive, the client below counts and remembers; here it becomes current, in the task that awaits it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from typing import Any

from asyncdsm.core import checkpoint, current
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.errors import MalformedValueError
from asyncdsm.integration.batch import current_task, follow_batch
from asyncdsm.integration.formats.kafka import record_produced
from asyncdsm.integration.hooks import mark_async
from asyncdsm_confluent.client import Client, client_of
from asyncdsm_confluent.consume import pathway_of
from asyncdsm_confluent.kinds import HookSet, c_kinds
from asyncdsm_confluent.produce import addressed, bare, departed, say_no_headers
from asyncdsm_confluent.standin import stand_in_for


def poll(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AIOConsumer.poll`."""

    async def received(self: Any, args: Any, kwargs: Any) -> Any:
        message = await original(self, *args, **kwargs)
        try:
            current.set_current(_pathway_of(message))
        except Exception as error:
            report_hook_error(error)
        return message

    def poll(self: Any, *args: Any, **kwargs: Any) -> Any:
        _begin(self)
        return received(self, args, kwargs)

    return mark_async(poll)


def consume(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `consume` of AIOConsumer, and of those above it that return a list of their own."""

    async def received(self: Any, args: Any, kwargs: Any, asked_in: Any) -> Any:
        messages = await original(self, *args, **kwargs)
        try:
            if checkpoint.ensure_recorder() is None or not isinstance(messages, list):
                return messages
            return follow_batch(messages, [_pathway_of(message) for message in messages], asked_in)
        except Exception as error:
            report_hook_error(error)
            return messages

    def consume(self: Any, *args: Any, **kwargs: Any) -> Any:
        _begin(self)
        return received(self, args, kwargs, current_task())

    return mark_async(consume)


def _begin(consumer: Any) -> None:
    # Cleared here, not behind the await: before Python 3.12 `asyncio.wait_for` awaits in a task of its own.
    current.set_current(None)
    try:
        follow_below(consumer)
    except Exception as error:
        report_hook_error(error)


def _pathway_of(message: Any) -> Any:
    if message is None or checkpoint.ensure_recorder() is None:
        return None
    try:
        return pathway_of(message)
    except MalformedValueError as error:  # the others of a batch are followed all the same
        report_hook_error(error)
        return None


def follow_below(client: Any) -> None:
    """Follow the consumer that an asyncio client drives, and let it leave to us what becomes current."""
    below = getattr(client, "_consumer", None)
    if type(below) in c_kinds():  # made before its class was followed
        below = client._consumer = stand_in_for(below)
    if below is not None:
        client_of(below).is_below = True


def produce(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AIOProducer.produce`. Whether it takes headers, each producer is asked with its first message."""

    async def produce(self: Any, topic: Any, value: Any = None, key: Any = None, *args: Any, **kwargs: Any) -> Any:
        client, pending, headers = None, None, kwargs.get("headers")
        sent = headers
        try:
            client = _client_above(self)
            pending, sent = addressed(client, topic, value, key, headers, injects=client.injects)
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
                client.injects = False
                say_no_headers("AIOProducer", "Producer")
                pending, sent = bare(client, topic, value, key, headers)
                future = await original(self, topic, value, key, *args, **kwargs)
        if client is not None and pending is not None:
            departed(pending, carries=sent is not headers)
            _await_delivery(client, self, future)
        return future

    return produce


def _client_above(producer: Any) -> Client:
    """Return what is known of an asyncio producer; the one below it, if it is followed, counts nothing."""
    client: Client | None = vars(producer).get("_asyncdsm")
    if client is None:
        client = producer._asyncdsm = Client()
        below = getattr(producer._producer, "_asyncdsm", None)
        if below is not None:
            below.is_below = True
    return client


def _await_delivery(client: Client, producer: Any, answer: Any) -> None:
    """Have the offset recorded once the broker has acknowledged a message."""
    try:
        answer.add_done_callback(functools.partial(_delivered, client, producer))
    except Exception as error:
        report_hook_error(error)


def _delivered(client: Client, producer: Any, answer: Any) -> None:
    """Record the offset of a message that the broker acknowledged: in the event loop, which is no callback of C's."""
    try:
        if checkpoint.ensure_recorder() is None or answer.cancelled() or answer.exception() is not None:
            return
        client.learn_cluster_id(producer._producer, has_answered=True)
        message = answer.result()
        record_produced(message.topic(), message.partition(), message.offset(), client.cluster_id)
    except Exception as error:
        report_hook_error(error)


@functools.cache
def asyncio_kinds() -> dict[type, HookSet]:
    """Return the asyncio clients of this version, where it has some, and the hooks of their methods."""
    kinds = dict[type, HookSet]()
    for path in ("confluent_kafka.aio", "confluent_kafka.experimental.aio"):
        try:
            module: Any = import_module(path)
        except ImportError:
            continue
        for name, hooks in _HOOKS.items():
            if isinstance(own := getattr(module, name, None), type):
                kinds[own] = hooks
    return kinds


_HOOKS: dict[str, HookSet] = {
    "AIOProducer": {"produce": produce},
    "AIOConsumer": {"poll": poll, "consume": consume},
    "AsyncDeserializingConsumer": {"consume": consume},
}
