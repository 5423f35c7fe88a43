"""Messages received: by the callback of a streaming pull, in a thread of its scheduler, or as the list of a pull."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from google.pubsub_v1.types import pubsub

from asyncdsm.integration import (
    Hook,
    Hooks,
    Pathway,
    current_task,
    ensure_recorder,
    follow_batch,
    guarded,
    is_consume_suppressed,
    lookup_pathway,
    mark_async,
    receive_async,
    report_hook_error,
    restored,
    set_current,
    store_entry,
)
from asyncdsm_pubsub.messages import consume_message, in_edges, pathway_in
from asyncdsm_pubsub.received_messages import view_messages

class_hooks: Hooks = Hooks()
"""The hooks on the handwritten classes. A stream that began meanwhile may live longer."""


def make_subscribe_hook(is_followed: Callable[[], bool]) -> Hook:
    """Return the hook of `SubscriberClient.subscribe`. `is_followed` says whether the messages of its streams count."""

    def hook(original: Callable[..., Any]) -> Callable[..., Any]:
        def subscribe(client: Any, /, *args: Any, **kwargs: Any) -> Any:
            call = _replace_callback(args, kwargs, is_followed)
            args, kwargs = call if call is not None else (args, kwargs)
            return original(client, *args, **kwargs)

        return subscribe

    return hook


@guarded
def _replace_callback(
    args: tuple[Any, ...], kwargs: dict[str, Any], is_followed: Callable[[], bool]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Return the arguments with another callback; None if the callback stays: a layer above counts, or it is none."""
    subscription = args[0] if args else kwargs.get("subscription")
    callback = args[1] if len(args) > 1 else kwargs.get("callback")
    if not isinstance(subscription, str) or not callable(callback) or is_consume_suppressed():
        return None

    def run_callback(message: Any) -> Any:
        if not is_followed():
            return callback(message)
        with restored(None):  # the thread may have another message's pathway
            _count_message(message, subscription)
            return callback(message)

    if len(args) > 1:
        return (args[0], run_callback, *args[2:]), kwargs
    return args, {**kwargs, "callback": run_callback}


def _count_message(message: Any, subscription: str) -> None:
    """Record a message of a stream, and make its pathway current. **Hot**."""
    try:
        if ensure_recorder() is not None:
            pathway = consume_message(message, subscription, message.publish_time, message.delivery_attempt)
            if pathway is not None:
                store_entry((id(message), message.ack_id, pathway))
    except Exception as error:
        set_current(None)
        report_hook_error(error)


def hook_pull(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `SubscriberClient.pull`."""

    def pull(client: Any, /, *args: Any, **kwargs: Any) -> Any:
        set_current(None)  # a program that asks for the next messages has finished the last ones
        response = original(client, *args, **kwargs)
        _follow_response(response, args, kwargs, None)
        return response

    return pull


def hook_async_pull(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `SubscriberAsyncClient.pull`."""

    def pull(client: Any, /, *args: Any, **kwargs: Any) -> Any:
        record = partial(_record_response, args, kwargs, current_task())
        return receive_async(partial(original, client, *args, **kwargs), partial(set_current, None), record)

    return mark_async(pull)


def _record_response(args: tuple[Any, ...], kwargs: dict[str, Any], asked_in: Any, response: Any) -> Any:
    _follow_response(response, args, kwargs, asked_in)
    return response


@guarded
def _follow_response(response: Any, args: tuple[Any, ...], kwargs: dict[str, Any], asked_in: Any) -> None:
    """Record the messages of a response, and let it have the sequence that makes each of them current.

    A response makes a new view of its messages whenever it is asked for them, which has no room for a pathway. So this
    view is put in its place.
    """
    is_response = isinstance(response, pubsub.PullResponse)
    if not is_response or ensure_recorder() is None:
        return
    subscription = _find_subscription(*args, **kwargs)
    messages = list(response.received_messages)
    pathways = [_count_received(received, subscription) for received in messages]
    if any(pathways):
        is_current = follow_batch(messages, pathways, asked_in) is messages
        edge = in_edges[subscription]
        view = view_messages(response, messages, pathways, edge, is_current=is_current)
        vars(response)["received_messages"] = view


def _count_received(received: Any, subscription: str) -> Pathway | None:
    """Record a message of a pull, and make its pathway current. **Hot**.

    It is read from protobuf's own message: an attribute of the generated class takes 2 µs, of protobuf 0.05.
    """
    try:
        raw = pubsub.ReceivedMessage.pb(received)
        message = raw.message
        published = message.publish_time if message.HasField("publish_time") else None
        pathway = consume_message(message, subscription, published, raw.delivery_attempt)
        if pathway is not None:
            store_entry((id(received), raw.ack_id, pathway))
    except Exception as error:
        set_current(None)
        report_hook_error(error)
        return None
    return pathway


def _find_subscription(request: Any = None, subscription: Any = None, **_: Any) -> str:
    """Return the name of the subscription of a pull, whose request may be a message or a dict."""
    if request is None:
        return str(subscription)
    return str(request["subscription"] if isinstance(request, dict) else request.subscription)


def pathway_of_streamed(message: Any) -> Pathway | None:
    """Return the pathway of a message of a stream: of its delivery if that was counted, or else what it brings."""
    return lookup_pathway(message, message.ack_id) or pathway_in(message, message.publish_time)


def pathway_of_pulled(message: Any) -> Pathway | None:
    """Return the same of a message of a pull, as it was received; without its delivery, what it brings."""
    if isinstance(message, pubsub.ReceivedMessage):
        return lookup_pathway(message, message.ack_id) or pathway_of_pulled(message.message)
    return pathway_in(pubsub.PubsubMessage.pb(message), message.publish_time)
