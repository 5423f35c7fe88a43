"""Which connections are followed: all of them, or those that were wrapped and the connections made from them."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from kombu.connection import ConnectionPool

from asyncdsm.integration import after

_FOLLOWED = "_asyncdsm_followed"

_follows_all = False
_wrapped: WeakSet[Any] = WeakSet()


def follow_connection(connection: Any) -> None:
    """Follow a connection, and the connections that are made from it."""
    setattr(connection, _FOLLOWED, True)
    _wrapped.add(connection)


def follow_all(is_on: bool) -> None:
    """Follow every connection, or only those that were wrapped."""
    global _follows_all  # noqa: PLW0603
    _follows_all = is_on


def follows_all() -> bool:
    """Say whether every connection is followed."""
    return _follows_all


def is_any_wrapped() -> bool:
    """Say whether a connection is alive that was wrapped, or that was made from a wrapped one."""
    return bool(_wrapped)


def is_followed(connection: Any) -> bool:
    """Say whether a connection is followed."""
    return _follows_all or getattr(connection, _FOLLOWED, False)


def connection_of(channel: Any) -> Any | None:
    """Return the Kombu connection that a channel belongs to."""
    return getattr(getattr(channel, "connection", None), "client", None)


@after
def hook_copy(made: Any, maker: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `Connection.clone` and `ConnectionPool.new`: a connection made from a followed one is followed."""
    parent = maker.connection if isinstance(maker, ConnectionPool) else maker
    if getattr(parent, _FOLLOWED, False):
        follow_connection(made)
