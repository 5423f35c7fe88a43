"""Clients and classes that are followed: what they become instances of, or subclasses of.

A class is followed by a subclass, and an object whose class is Python's can become an instance of one. The hooks stand
right above the client's own methods, below what a class of the program's own does before it calls them.
"""

from __future__ import annotations

import functools
from inspect import getattr_static
from typing import Any

from asyncdsm.integration.hooks import Hook, Hooks, original_of, subclass_or_same
from asyncdsm_confluent.aio import asyncio_kinds, follow_below
from asyncdsm_confluent.client import instrumented
from asyncdsm_confluent.kinds import HookSet, c_kinds, put
from asyncdsm_confluent.names import subclass
from asyncdsm_confluent.standin import is_stand_in, stand_in_for

_hooks = Hooks()  # never taken off: what was wrapped stays so


def follow(client: Any) -> Any | None:
    """Return a followed client or class in the place of this one; None for what is not confluent-kafka's."""
    if isinstance(client, type):
        return subclass_or_same(client, _following) if _own_classes(client) else None
    if type(client) in c_kinds():
        return stand_in_for(client)
    if is_stand_in(client):
        return client
    kind = type(client)
    if not _own_classes(kind):
        return None
    if (known := getattr(client, "_asyncdsm", None)) is not None:
        instrumented.discard(known)  # from here on it stays subclass_or_same
    if _follow_inside(client):
        return client
    subclassed = subclass_or_same(kind, _following)
    if subclassed is not kind:
        client.__class__ = subclassed
    follow_below(client)
    return client


def is_client_class(kind: type) -> bool:
    """Say whether a class is one of the clients, or derived from one."""
    return bool(_own_classes(kind))


def _follow_inside(client: Any) -> bool:
    """Follow the client inside of one that only hands on to it, as OpenTelemetry's do: a shell without C's own part."""
    for name in ("_producer", "_consumer"):
        inside = (
            vars(client).get(name) if isinstance(client, tuple(c_kinds())) and hasattr(client, "__dict__") else None
        )
        if type(inside) in c_kinds():
            setattr(client, name, stand_in_for(inside))
        if type(inside) in c_kinds() or is_stand_in(inside):
            return True
    return False


def _own_classes(kind: type) -> list[tuple[type, HookSet]]:
    """Return the client's own classes that a class is derived from, the nearest first."""
    known = {**c_kinds(), **asyncio_kinds()}
    return [(base, known[base]) for base in kind.__mro__ if base in known]


@functools.cache
def _following(kind: Any) -> Any:
    if "_asyncdsm_follows" in vars(kind):
        return kind
    hooked = tuple(_hooked(own) for own, _ in _own_classes(kind))
    shown = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    bases = hooked if issubclass(hooked[0], kind) else (kind, *hooked)
    return type(kind)(kind.__name__, bases, {"__slots__": (), "_asyncdsm_follows": True, **shown})


@functools.cache
def _hooked(own: Any) -> Any:
    """Return a subclass of one of the client's own classes that has our hooks."""
    if own in c_kinds():
        hooked, hooks = subclass(own), c_kinds()[own]
    else:
        hooked = type(own)(own.__name__, (own,), {"__slots__": (), "__module__": __name__})
        hooks = {name: _looking_up(own, name, hook) for name, hook in asyncio_kinds()[own].items()}
    put(_hooks, hooked, hooks)
    return hooked


def _looking_up(own: Any, name: str, hook: Hook) -> Hook:
    """Return a hook that calls what a class of Python's has at each call: somebody may patch it later."""
    at_wrap = getattr(own, name)
    original = original_of(at_wrap)

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(own, name) is at_wrap:
            return original(self, *args, **kwargs)
        found = original_of(getattr_static(own, name))
        bind = getattr(type(found), "__get__", None)  # a mock has none, and is called without the object
        return (found if bind is None else bind(found, self, own))(*args, **kwargs)

    return lambda _original: hook(call)
