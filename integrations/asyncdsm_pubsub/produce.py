"""Messages that are published: one by one through `PublisherClient`, or as a request of the generated clients.

The context is one more attribute, of a copy of what the program gave. A message counts when the service has it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

from google.pubsub_v1.types import pubsub

from asyncdsm.integration import (
    HEADER,
    PendingProduce,
    begin_produce,
    ensure_recorder,
    finish_produce,
    guarded,
    mark_async,
    record_not_propagated,
    report_hook_error,
)
from asyncdsm_pubsub.messages import measure_message, out_edges

MOST_ATTRIBUTES = 100
"""How many attributes a message may have."""
TELEMETRY_ATTRIBUTES = 2
"""How many the client adds itself, if it traces with OpenTelemetry."""
LARGEST_REQUEST = 10_000_000
"""How many bytes a request may have, and so the only message of one."""
CONTEXT_BYTES = len(HEADER) + 58
"""The room that a context may take as an attribute, with what protobuf adds. Those of today have 28 bytes."""
ATTRIBUTE_BYTES = 10
"""What protobuf adds to an attribute at most."""
REQUEST_BYTES = 32
"""What protobuf adds to a request with one message at most."""
NOT_ATTRIBUTES = frozenset({"topic", "data", "ordering_key", "retry", "timeout"})
"""The arguments of `PublisherClient.publish` that are no attributes of the message."""


class Checkpoint(NamedTuple):
    """The checkpoint of a message that is about to be published."""

    pending: PendingProduce
    has_context: bool

    def finish(self) -> None:
        """Count it: the service has the message."""
        finish_produce(self.pending)
        if not self.has_context:
            record_not_propagated()


def hook_message(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `PublisherClient.publish`, which returns a future: the message counts when that has a result. **Hot**."""

    def publish(client: Any, /, *args: Any, **kwargs: Any) -> Any:
        checkpoint = None
        try:
            if ensure_recorder() is not None:
                checkpoint = _begin_message(client, args, kwargs)
        except Exception as error:
            report_hook_error(error)
        future = original(client, *args, **kwargs)
        if checkpoint is not None:
            if checkpoint.has_context and _is_refused(future):
                kwargs.pop(HEADER, None)
                future, checkpoint = original(client, *args, **kwargs), checkpoint._replace(has_context=False)
            _count_when_published(future, checkpoint)
        return future

    return publish


def _begin_message(client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Checkpoint | None:
    """Return the checkpoint of a message, and put its context into `kwargs`, which is this call's own dict.

    None for a message that does not count, or that the client will refuse.
    """
    topic = args[0] if args else kwargs.get("topic")
    data = args[1] if len(args) > 1 else kwargs.get("data")
    if not isinstance(topic, str) or not isinstance(data, bytes):
        return None
    key = args[2] if len(args) > 2 else kwargs.get("ordering_key")
    attributes = [(name, kwargs[name]) for name in kwargs if name not in NOT_ATTRIBUTES and name != HEADER]
    size = measure_message(data, key, attributes)
    most = MOST_ATTRIBUTES - (TELEMETRY_ATTRIBUTES if getattr(client, "open_telemetry_enabled", False) else 0)
    on_wire = size + len(topic) * 4 + len(attributes) * ATTRIBUTE_BYTES + REQUEST_BYTES
    # The service refuses a message that has nothing in it, and so it should with asyncdsm.
    fits = bool(data or attributes) and len(attributes) < most and on_wire + CONTEXT_BYTES <= LARGEST_REQUEST
    pending = begin_produce(out_edges[topic], size, len(HEADER) if fits else None)
    if pending is None:
        return None
    if fits:
        kwargs[HEADER] = pending.header.decode()
    else:
        kwargs.pop(HEADER, None)  # one that the program forwards
    return Checkpoint(pending, fits)


@guarded
def _is_refused(future: Any) -> bool:
    """Say whether the flow control of the client has no room for a message, at once: perhaps for its context only."""
    return future.done() and type(future.exception()).__name__ == "FlowControlLimitError"


@guarded
def _count_when_published(future: Any, checkpoint: Checkpoint) -> None:
    future.add_done_callback(partial(_finish_published, checkpoint))


@guarded
def _finish_published(checkpoint: Checkpoint, future: Future[Any]) -> None:
    if future.exception() is None:
        checkpoint.finish()


class _Request(NamedTuple):
    """A request to publish, with contexts in a copy of its messages, and their checkpoints."""

    request: Any
    kwargs: dict[str, Any]
    """The other arguments."""
    checkpoints: list[Checkpoint]


def hook_request(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `publish` of the generated synchronous client."""

    def publish(client: Any, /, *args: Any, **kwargs: Any) -> Any:
        made = _prepare_request(args, kwargs)
        if made is None:
            return original(client, *args, **kwargs)
        answer = original(client, made.request, **made.kwargs)
        _finish_request(made)
        return answer

    return publish


def hook_async_request(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `PublisherAsyncClient.publish`."""

    async def publish(client: Any, /, *args: Any, **kwargs: Any) -> Any:
        made = _prepare_request(args, kwargs)
        if made is None:
            return await original(client, *args, **kwargs)
        answer = await original(client, made.request, **made.kwargs)
        _finish_request(made)
        return answer

    return mark_async(publish)


@guarded
def _finish_request(made: _Request) -> None:
    for checkpoint in made.checkpoints:
        checkpoint.finish()


@guarded
def _prepare_request(args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Request | None:
    """Return what to send in place of a request with these arguments; None for one that stays as it is."""
    if ensure_recorder() is None or len(args) > 1:
        return None
    others = {name: value for name, value in kwargs.items() if name not in ("request", "topic", "messages")}
    copied = _copy_request(*args, **{name: kwargs[name] for name in kwargs if name not in others})
    checkpoints = [] if copied is None else _add_contexts(pubsub.PublishRequest.pb(copied))
    return _Request(copied, others, checkpoints) if checkpoints else None


def _copy_request(request: Any = None, topic: Any = None, messages: Any = None) -> Any:
    """Return a copy of a request in whatever form the program gives it; None for what the client will refuse."""
    if request is not None and (topic is not None or messages is not None):
        return None
    try:
        copied = pubsub.PublishRequest(request)
        if topic is not None:
            copied.topic = topic
        if messages:
            copied.messages.extend(messages)
    except Exception:  # the client makes the same request, and the error is its own
        return None
    return copied


def _add_contexts(request: Any) -> list[Checkpoint]:
    """Put a context into each message of a request that has room for one; return their checkpoints."""
    edge, checkpoints = out_edges[request.topic], list[Checkpoint]()
    has_room = request.ByteSize() + len(request.messages) * CONTEXT_BYTES <= LARGEST_REQUEST
    for message in request.messages:
        attributes = message.attributes
        others = [(name, attributes[name]) for name in attributes if name != HEADER]
        fits = has_room and bool(message.data or others) and len(others) < MOST_ATTRIBUTES
        size = measure_message(message.data, message.ordering_key, others)
        pending = begin_produce(edge, size, len(HEADER) if fits else None)
        if pending is None:  # a layer above counts
            return []
        if fits:
            attributes[HEADER] = pending.header.decode()
        else:
            attributes.pop(HEADER, None)
        checkpoints.append(Checkpoint(pending, fits))
    return checkpoints
