"""Following a connection: what it publishes, and the subscriptions and JetStream contexts that it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.nuid import DIGITS, TOTAL_LENGTH

from asyncdsm.integration import Hook, Hooks, after, guarded, is_hook, mark_async
from asyncdsm_nats.consume import Source, follow_iterator, make_fetch_hook, make_next_hook, wrap_callback
from asyncdsm_nats.produce import hook_publish, hook_store, hook_store_later
from asyncdsm_nats.subjects import is_left_out

_hooks = Hooks()  # on single objects, never removed
# A JetStream context that subscribes through its connection knows more of the subscription than the connection.
_is_binding: ContextVar[bool] = ContextVar("asyncdsm_nats_binding", default=False)


def hook_subscribe(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Client.subscribe`."""

    async def subscribe(
        client: Any, /, subject: Any, queue: Any = "", cb: Any = None, future: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        source = None if future is not None else _find_source(client, subject, queue)
        if source is None:
            return await original(client, subject, queue, cb, future, *args, **kwargs)
        callback = None if cb is None else wrap_callback(cb, source) or cb
        subscription = await original(client, subject, queue, callback, future, *args, **kwargs)
        _follow_subscription(subscription, source)
        return subscription

    return mark_async(subscribe)


@guarded
def _find_source(client: Any, subject: str, queue: str) -> Source | None:
    """Return the source of a subscription; None for one that is left alone."""
    if _is_binding.get() or is_left_out(subject, client):
        return None
    return Source(client, queue or None, is_wrapped=_is_wrapped(client))


def hook_bind_push(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `JetStreamContext.subscribe_bind`, which `subscribe` calls too."""

    async def subscribe_bind(
        context: Any, /, stream: Any, config: Any, consumer: Any, cb: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        source = _find_push_source(context, config)
        if source is None:
            with _binding():
                return await original(context, stream, config, consumer, cb, *args, **kwargs)
        callback = None if cb is None else wrap_callback(cb, source) or cb
        with _binding():
            subscription = await original(context, stream, config, consumer, callback, *args, **kwargs)
        _follow_subscription(subscription, source)
        return subscription

    return mark_async(subscribe_bind)


@guarded
def _find_push_source(context: Any, config: Any) -> Source | None:
    """Return the source of a push consumer. None for one that reads a key-value or object store."""
    filters = [config.filter_subject, *(getattr(config, "filter_subjects", None) or ())]
    if any(subject and is_left_out(subject, context._nc) for subject in filters):
        return None
    group = config.durable_name or config.deliver_group or ""
    return Source(context._nc, group, is_wrapped=_is_wrapped(context))


def hook_bind_pull(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `JetStreamContext.pull_subscribe_bind`, which `pull_subscribe` calls too."""

    async def pull_subscribe_bind(context: Any, /, *args: Any, **kwargs: Any) -> Any:
        with _binding():
            subscription = await original(context, *args, **kwargs)
        _follow_pull(subscription, context)
        return subscription

    return mark_async(pull_subscribe_bind)


@guarded
def _follow_pull(subscription: Any, context: Any) -> None:
    name = subscription._consumer or ""
    is_random = len(name) == TOTAL_LENGTH and set(name.encode()) <= set(DIGITS)  # made by `pull_subscribe`
    source = Source(context._nc, "" if is_random else name, is_wrapped=_is_wrapped(context))
    _hooks.put(subscription, "fetch", make_fetch_hook(source))


@guarded
def _follow_subscription(subscription: Any, source: Source) -> None:
    if subscription._cb is None:
        _hooks.put(subscription, "next_msg", make_next_hook(source))
        follow_iterator(subscription._message_iterator, source)


@contextmanager
def _binding() -> Iterator[None]:
    """Let the hook of `Client.subscribe` leave the subscription alone that is made inside the block."""
    before = _is_binding.get()
    _is_binding.set(True)
    try:
        yield
    finally:
        _is_binding.set(before)  # not by a token, since a coroutine may be closed in another context


@after
def observe_jetstream(context: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `Client.jetstream` of a connection that is followed."""
    follow_jetstream(context)


OF_CONNECTIONS: dict[str, Hook] = {"publish": hook_publish, "subscribe": hook_subscribe}
OF_CONTEXTS: dict[str, Hook] = {
    "publish": hook_store,
    "publish_async": hook_store_later,
    "subscribe_bind": hook_bind_push,
    "pull_subscribe_bind": hook_bind_pull,
}


def hook_all(hooks: Hooks) -> None:
    """Put hooks on the client's classes."""
    for cls, by_name in ((Client, OF_CONNECTIONS), (JetStreamContext, OF_CONTEXTS)):
        for name, hook in by_name.items():
            if hasattr(cls, name):  # `publish_async` came with 2.11
                hooks.put(cls, name, hook)


def follow_connection(client: Any) -> None:
    """Follow one connection, and the JetStream contexts that it makes from now on."""
    for name, hook in OF_CONNECTIONS.items():
        _hooks.put_on_client(client, Client, name, hook)
    _hooks.put(client, "jetstream", observe_jetstream)


def follow_jetstream(context: Any) -> None:
    """Follow one JetStream context."""
    for name, hook in OF_CONTEXTS.items():
        if hasattr(context, name):
            _hooks.put_on_client(context, JetStreamContext, name, hook)


def _is_wrapped(owner: Any) -> bool:
    """Say whether a connection or a context is followed for itself."""
    return is_hook(vars(owner).get("publish"))
