"""Following one object of aio-pika and all that it makes: it gets a subclass of its class that has the hooks.

Hooks on aio-pika's own classes would follow every connection, and a queue cannot hold hooks, since it has slots. The
hooks are around aio-pika's own methods, below whatever a user's subclass does before it calls them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import chain
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractQueue, AbstractQueueIterator

from asyncdsm.integration import Hook, after, subclass_or_same
from asyncdsm_aio_pika.consume import FOLLOWED, hook_consume, hook_get, hook_iterator_consume, hook_next
from asyncdsm_aio_pika.produce import hook_publish
from asyncdsm_aio_pika.queue_depth import hook_declare, note_depth

HOOKS: dict[type, dict[str, Hook]] = {
    AbstractConnection: {},
    AbstractChannel: {},
    AbstractExchange: {"publish": hook_publish},
    AbstractQueue: {"consume": hook_consume, "get": hook_get, "declare": hook_declare},
    AbstractQueueIterator: {"consume": hook_iterator_consume, "__anext__": hook_next},
}
"""The hooks of each kind of object, by method."""
_FACTORIES = ("CHANNEL_CLASS", "EXCHANGE_CLASS", "QUEUE_CLASS")


def find_hooks(cls: type) -> dict[str, Hook] | None:
    """Return the hooks of a class's methods; None for a class that is not one of aio-pika's kinds."""
    return next((hooks for base, hooks in HOOKS.items() if issubclass(cls, base)), None)


def follow_object(client: Any) -> None:
    """Follow one object and what it makes. Do nothing for an object that only claims to be of aio-pika's classes."""
    cls: Any = type(client)
    if find_hooks(cls) is None:
        return
    subclass = subclass_or_same(cls, _make_followed)
    if subclass is not cls:
        client.__class__ = subclass
    if isinstance(client, AbstractQueue):
        note_depth(client, getattr(getattr(client, "declaration_result", None), "message_count", None))
    if isinstance(client, AbstractChannel):
        for made in _list_made_by(client):
            follow_object(made)


@functools.cache
def _make_followed(cls: Any) -> Any:
    """Return the subclass whose objects are followed, and that makes objects which are."""
    if FOLLOWED in vars(cls):
        return cls
    names = {name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")}
    factories = {
        name: subclass_or_same(getattr(cls, name), _make_followed)
        for name in _FACTORIES
        if isinstance(getattr(cls, name, None), type)
    }
    own = next(base for base in cls.__mro__ if base.__module__.startswith("aio_pika."))
    bases = (_make_hooked(own),) if cls is own else (cls, _make_hooked(own))
    return _subclass(cls, bases, {FOLLOWED: True, **names, **factories})


@functools.cache
def _make_hooked(own: Any) -> Any:
    """Return a subclass of one of aio-pika's own classes that has the hooks around its methods."""
    hooked = _subclass(own, (own,), {"__module__": __name__})
    hooks = find_hooks(own) or {}
    if issubclass(own, AbstractQueue):
        hooks = {**hooks, "iterator": hook_iterator}
    for name, hook in hooks.items():
        setattr(hooked, name, functools.wraps(getattr(own, name))(hook(_look_up_method(own, name))))
    return hooked


def _subclass(cls: Any, bases: tuple[Any, ...], namespace: dict[str, Any]) -> Any:
    return type(cls)(cls.__name__, bases, {"__slots__": (), **namespace})


def _look_up_method(own: Any, name: str) -> Callable[..., Any]:
    """Return a function that looks up aio-pika's method at each call, since somebody may patch it later."""

    def call_current(*args: Any, **kwargs: Any) -> Any:
        return getattr(own, name)(*args, **kwargs)

    return call_current


@after
def hook_iterator(made: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `Queue.iterator`."""
    follow_object(made)


def _list_made_by(channel: Any) -> list[Any]:
    """Return the exchanges and queues that a channel has already, as far as it keeps them."""
    made = [getattr(channel, "default_exchange", None)]
    for kept in chain(getattr(channel, "_exchanges", {}).values(), getattr(channel, "_queues", {}).values()):
        made.extend([kept] if isinstance(kept, AbstractExchange) else kept)  # older releases keep several by one name
    return [each for each in made if each is not None]
