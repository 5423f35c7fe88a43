"""Messages sent: hooked right above C, below what serializes. A message counts when the client has taken it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from asyncdsm._internal.log import warn_once
from asyncdsm.core import checkpoint
from asyncdsm.core.checkpoint import PendingProduce, report_hook_error
from asyncdsm.core.pathway import HEADER
from asyncdsm_confluent.client import Client, client_of
from asyncdsm_confluent.reports import reporting

KEY_BYTES = len(HEADER)


def produce(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Producer.produce`."""

    def produce(  # noqa: PLR0917  (as C has them)
        self: Any,
        topic: Any,
        value: Any = None,
        key: Any = None,
        partition: Any = -1,
        callback: Any = None,
        on_delivery: Any = None,
        timestamp: Any = 0,
        headers: Any = None,
        *args: Any,
        **more: Any,
    ) -> Any:
        client, pending, sent = None, None, headers
        if callback is None:
            callback = on_delivery
        try:
            client = client_of(self)
            if not client.is_below and checkpoint.ensure_recorder() is not None:
                pending, sent = addressed(client, topic, value, key, headers, injects=client.injects)
                callback = reporting(client, callback)
        except Exception as error:
            report_hook_error(error)
        try:
            result = original(self, topic, value, key, partition, callback, None, timestamp, sent, *args, **more)
        except KafkaException as error:
            if client is None or sent is headers or error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                raise
            # With our header it was too large.
            pending, sent = bare(client, topic, value, key, headers)
            result = original(self, topic, value, key, partition, callback, None, timestamp, headers, *args, **more)
        if pending is not None:
            departed(pending, carries=sent is not headers)
        return result

    return produce


def produce_batch(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Producer.produce_batch`, whose messages take no headers: they are counted, and carry no context."""

    def produce_batch(self: Any, topic: Any, messages: Any, *args: Any, **kwargs: Any) -> Any:
        all_pending = list[PendingProduce | None]()
        try:
            client = client_of(self)
            if not client.is_below and checkpoint.ensure_recorder() is not None and isinstance(messages, list):
                all_pending = [_without_headers(client, topic, message) for message in messages]
                say_no_headers("Producer.produce_batch", "Producer.produce")
        except Exception as error:
            report_hook_error(error)
        result = original(self, topic, messages, *args, **kwargs)
        for pending, message in zip(all_pending, messages, strict=False):
            if pending is not None and "_error" not in message:  # C marks those that it did not take
                departed(pending, carries=False)
        return result

    return produce_batch


def say_no_headers(method: str, instead: str) -> None:
    """Warn once of a way to send that has no room for a context. Never raises: the message has not gone yet."""
    try:
        warn_once(
            f"no-headers-{method}",
            "confluent-kafka's %s takes no headers in this version: its messages are counted, and carry no context; "
            "use %s for messages that are to be followed",
            method,
            instead,
        )
    except Exception as error:
        report_hook_error(error)


def departed(pending: PendingProduce, *, carries: bool) -> None:
    """Count a message that the client took, and that it carries no context where it does not."""
    checkpoint.finish_produce(pending[1])
    if not carries:
        checkpoint.record_not_propagated()


def addressed(
    client: Client, topic: Any, value: Any, key: Any, headers: Any, *, injects: bool
) -> tuple[PendingProduce | None, Any]:
    """Return a message's checkpoint, and the headers to send: a copy with ours in it, or those that were given.

    What C would not take for a topic or for headers stays as it is, for C to refuse.
    """
    if not isinstance(topic, str) or (headers is not None and not isinstance(headers, (dict, list))):
        return None, headers
    sent, size = [], len(value) if value.__class__ is bytes else size_of(value)
    if key is not None:
        size += size_of(key)
    if headers:
        try:
            for name, text in headers.items() if isinstance(headers, dict) else headers:
                if name != HEADER:  # ours takes the place of one that was forwarded
                    sent.append((name, text))
                    size += size_of(name) + size_of(text)
        except (TypeError, ValueError):  # no pairs
            return None, headers
    if not injects:
        return checkpoint.begin_produce(client.out_edge(topic), size), headers
    pending = checkpoint.begin_produce(client.out_edge(topic), size, KEY_BYTES)
    if pending is None:
        return None, headers
    sent.append((HEADER, pending[0]))
    return pending, sent


def bare(client: Client, topic: str, value: Any, key: Any, headers: Any) -> tuple[PendingProduce | None, Any]:
    """Return the same for a message that has been refused with a context, and goes without."""
    try:
        return addressed(client, topic, value, key, headers, injects=False)
    except Exception as error:
        report_hook_error(error)
        return None, headers


def size_of(part: Any) -> int:
    """Return the bytes of a key, a value or a part of a header on the wire; 0 for what C will refuse."""
    if isinstance(part, str) and not part.isascii():
        part = part.encode()
    return len(part) if isinstance(part, (bytes, str)) else 0


def _without_headers(client: Client, topic: Any, message: Any) -> PendingProduce | None:
    if not isinstance(topic, str) or not isinstance(message, dict):
        return None  # C refuses it
    return checkpoint.begin_produce(client.out_edge(topic), size_of(message.get("value")) + size_of(message.get("key")))
