"""One object wrapped, and all that it makes: it becomes an instance of a subclass of its class that has our hooks.

Not hooks on the classes themselves, for other connections stay as they are; nor on the object, for queues have slots.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import chain
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractQueue, AbstractQueueIterator

from asyncdsm.hooks import Hook
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


def follow(client: Any) -> bool:
    """Put the hooks on one object, once; False for an object that is not aio-pika's."""
    kind: Any = type(client)
    if hooks_of(kind) is None:
        return False
    if not _follows(kind):
        client.__class__ = _following(kind)
    if isinstance(client, AbstractQueue):
        depth.note(client, getattr(getattr(client, "declaration_result", None), "message_count", None))
    if isinstance(client, AbstractChannel):
        for made in _made_by(client):
            follow(made)
    return True


def _follows(kind: type) -> bool:
    return "_asyncdsm_follows" in vars(kind)


@functools.cache
def _following(kind: Any) -> Any:
    """Return the subclass of a class that has our hooks, and makes what has them."""
    if _follows(kind):
        return kind
    names = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    made = {name: _following(getattr(kind, name)) for name in _FACTORIES if hasattr(kind, name)}
    subclass = type(kind)(kind.__name__, (kind,), {"__slots__": (), "_asyncdsm_follows": True, **names, **made})
    hooks = hooks_of(kind) or {}
    if issubclass(kind, AbstractQueue):
        hooks = {**hooks, "iterator": _iterator}
    for name, hook in hooks.items():
        setattr(subclass, name, functools.wraps(getattr(kind, name))(hook(_inherited(subclass, name))))
    return subclass


def _inherited(subclass: type, name: str) -> Callable[..., Any]:
    """Return the method above a subclass, looked up at each call: somebody else may put a patch there later."""

    def inherited(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(super(subclass, self), name)(*args, **kwargs)

    return inherited


def _iterator(original: Callable[..., Any]) -> Callable[..., Any]:
    def iterator(self: Any, **kwargs: Any) -> Any:
        made = original(self, **kwargs)
        follow(made)
        return made

    return iterator


def _made_by(channel: Any) -> list[Any]:
    """Return the exchanges and queues that a channel has already, as far as it keeps them."""
    made = [getattr(channel, "default_exchange", None)]
    for kept in chain(getattr(channel, "_exchanges", {}).values(), getattr(channel, "_queues", {}).values()):
        made.extend([kept] if isinstance(kept, AbstractExchange) else kept)  # older aio-pikas keep several by one name
    return [one for one in made if one is not None]
