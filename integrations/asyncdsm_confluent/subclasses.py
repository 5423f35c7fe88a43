"""Subclasses with hooks, for clients and classes that are wrapped.

A class is replaced by a subclass, and an object whose class is written in Python becomes an instance of one. The hooks
are right above the client's own methods, below what a class of the program does before it calls them.
"""

from __future__ import annotations

import functools
from typing import Any

from asyncdsm.integration import Hooks, look_up_in_class, subclass_or_same
from asyncdsm_confluent.aio import asyncio_classes, follow_inner_client
from asyncdsm_confluent.class_swap import derive_class
from asyncdsm_confluent.classes import HookSet, c_classes, put_hook_set
from asyncdsm_confluent.client import instrumented
from asyncdsm_confluent.proxy import is_proxy, make_proxy

_hooks = Hooks(is_removable=False)  # a client that was wrapped stays wrapped


def follow_client(client: Any) -> Any | None:
    """Return what replaces a client or a class of clients; None for anything that is not confluent-kafka's."""
    if isinstance(client, type):
        return subclass_or_same(client, _follow_class) if is_client_class(client) else None
    if type(client) in c_classes():
        return make_proxy(client)
    if is_proxy(client):
        return client
    cls = type(client)
    if not is_client_class(cls):
        return None
    if (known := getattr(client, "_asyncdsm", None)) is not None:
        instrumented.discard(known)  # from now on it stays followed
    if _follow_inside(client):
        return client
    followed = subclass_or_same(cls, _follow_class)
    if followed is not cls:
        client.__class__ = followed
    if isinstance(client, tuple(asyncio_classes())):
        follow_inner_client(client)
    return client


def is_client_class(cls: type) -> bool:
    """Say whether a class is one of the clients, or derived from one."""
    return bool(_own_classes(cls))


def _follow_inside(client: Any) -> bool:
    """Follow the client inside an object that only forwards calls to it, as OpenTelemetry's do, and has no C part."""
    if not isinstance(client, tuple(c_classes())) or not hasattr(client, "__dict__"):
        return False
    for name in ("_producer", "_consumer"):
        inside = vars(client).get(name)
        if type(inside) in c_classes():
            setattr(client, name, make_proxy(inside))
        if type(inside) in c_classes() or is_proxy(inside):
            return True
    return False


def _own_classes(cls: type) -> list[tuple[type, HookSet]]:
    """Return the classes of confluent-kafka that a class is derived from, the nearest first, with their hooks."""
    known = {**c_classes(), **asyncio_classes()}
    return [(base, known[base]) for base in cls.__mro__ if base in known]


@functools.cache
def _follow_class(cls: Any) -> Any:
    if "_asyncdsm_follows" in vars(cls):
        return cls
    hooked = tuple(_hook_class(own) for own, _ in _own_classes(cls))
    shown = {name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")}
    bases = hooked if issubclass(hooked[0], cls) else (cls, *hooked)
    return type(cls)(cls.__name__, bases, {"__slots__": (), "_asyncdsm_follows": True, **shown})


@functools.cache
def _hook_class(own: Any) -> Any:
    """Return a subclass of one of confluent-kafka's classes, with hooks."""
    if own in c_classes():
        hooked, hooks = derive_class(own), c_classes()[own]
    else:  # a class in Python: somebody may patch it later, so each call looks its method up
        hooked = type(own)(own.__name__, (own,), {"__slots__": (), "__module__": __name__})
        hooks = {name: _hook_patchable(hook, own, name) for name, hook in asyncio_classes()[own].items()}
    put_hook_set(_hooks, hooked, hooks)
    return hooked


def _hook_patchable(hook: Any, own: Any, name: str) -> Any:
    return lambda _original: hook(look_up_in_class(own, name))
