"""One object wrapped, and all that it makes: it becomes an instance of a subclass of its class that has our hooks.

Not hooks on the classes themselves, for other connections stay as they are; nor on the object, for queues have slots.
The hooks stand around aio-pika's own methods, below whatever a class of the user's own does before it calls them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import chain
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractQueue, AbstractQueueIterator

from asyncdsm.integration.hooks import Hook, after, subclass_or_same
from asyncdsm_aio_pika import consume, depth, publish

_HOOKS: dict[type, dict[str, Hook]] = {
    AbstractConnection: {},
    AbstractChannel: {},
    AbstractExchange: {"publish": publish.publish},
    AbstractQueue: {"consume": consume.consume, "get": consume.get, "declare": depth.declare},
    AbstractQueueIterator: {"consume": consume.fetch_ahead, "__anext__": consume.next_message},
}
_FACTORIES = ("CHANNEL_CLASS", "EXCHANGE_CLASS", "QUEUE_CLASS")


def hooks_of(kind: type) -> dict[str, Hook] | None:
    """Return the hooks of a class's methods; None for a class that is none of aio-pika's kinds."""
    return next((hooks for base, hooks in _HOOKS.items() if issubclass(kind, base)), None)


def is_kind(client: Any) -> bool:
    """Say whether an object passes for one of aio-pika's kinds, as a mock with a spec does."""
    return isinstance(client, tuple(_HOOKS))


def follow(client: Any) -> bool:
    """Put the hooks on one object, once; False for an object that is not aio-pika's, and does not say it is."""
    kind: Any = type(client)
    if hooks_of(kind) is None:
        return is_kind(client)  # a mock of one stays as it is
    subclassed = subclass_or_same(kind, _following)
    if subclassed is not kind:
        client.__class__ = subclassed
    if isinstance(client, AbstractQueue):
        depth.note(client, getattr(getattr(client, "declaration_result", None), "message_count", None))
    if isinstance(client, AbstractChannel):
        for made in _made_by(client):
            follow(made)
    return True


@functools.cache
def _following(kind: Any) -> Any:
    if "_asyncdsm_follows" in vars(kind):
        return kind
    names = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    made = {
        name: subclass_or_same(getattr(kind, name), _following)
        for name in _FACTORIES
        if isinstance(getattr(kind, name, None), type)
    }
    own = next(base for base in kind.__mro__ if base.__module__.startswith("aio_pika."))
    bases = (_hooked(own),) if kind is own else (kind, _hooked(own))
    return _subclass(kind, bases, {"_asyncdsm_follows": True, **names, **made})


@functools.cache
def _hooked(own: Any) -> Any:
    """Return a subclass of one of aio-pika's own classes that has our hooks around its methods."""
    hooked = _subclass(own, (own,), {"__module__": __name__})
    hooks = hooks_of(own) or {}
    if issubclass(own, AbstractQueue):
        hooks = {**hooks, "iterator": _follow_iterator}
    for name, hook in hooks.items():
        setattr(hooked, name, functools.wraps(getattr(own, name))(hook(_inherited(own, name))))
    return hooked


def _subclass(kind: Any, bases: tuple[Any, ...], namespace: dict[str, Any]) -> Any:
    return type(kind)(kind.__name__, bases, {"__slots__": (), **namespace})


def _inherited(own: Any, name: str) -> Callable[..., Any]:
    """Return aio-pika's method, looked up at each call: somebody else may put a patch there later."""

    def inherited(*args: Any, **kwargs: Any) -> Any:
        return getattr(own, name)(*args, **kwargs)

    return inherited


@after
def _follow_iterator(made: Any, *_args: Any, **_more: Any) -> None:
    """Observe `Queue.iterator`."""
    follow(made)


def _made_by(channel: Any) -> list[Any]:
    """Return the exchanges and queues that a channel has already, as far as it keeps them."""
    made = [getattr(channel, "default_exchange", None)]
    for kept in chain(getattr(channel, "_exchanges", {}).values(), getattr(channel, "_queues", {}).values()):
        made.extend([kept] if isinstance(kept, AbstractExchange) else kept)  # older aio-pikas keep several by one name
    return [one for one in made if one is not None]
