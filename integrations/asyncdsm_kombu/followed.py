"""Whose messages are followed: of every connection, or of those that were wrapped and all that comes of them."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from kombu.connection import ConnectionPool

from asyncdsm.integration.hooks import after

_FOLLOWED = "_asyncdsm_followed"

_all = False
_wrapped: WeakSet[Any] = WeakSet()


def follow(connection: Any) -> None:
    """Follow a connection's messages, and those of the connections that are made of it."""
    setattr(connection, _FOLLOWED, True)
    _wrapped.add(connection)


def follow_all(every: bool) -> None:
    """Follow every connection, or only those that were wrapped."""
    global _all  # noqa: PLW0603
    _all = every


def follows_all() -> bool:
    """Say whether every connection is followed."""
    return _all


def followed_one_by_one() -> bool:
    """Say whether a connection lives that was wrapped, or came of one that was."""
    return bool(_wrapped)


def is_followed(connection: Any) -> bool:
    """Say whether a connection's messages are followed."""
    return _all or getattr(connection, _FOLLOWED, False)


def connection_of(channel: Any) -> Any | None:
    """Return the Kombu connection that a channel belongs to."""
    return getattr(getattr(channel, "connection", None), "client", None)


@after
def hand_down(made: Any, maker: Any, *_args: Any, **_more: Any) -> None:
    """Observe `Connection.clone` and `ConnectionPool.new`: what is made of a followed connection is followed."""
    parent = maker.connection if isinstance(maker, ConnectionPool) else maker
    if getattr(parent, _FOLLOWED, False):
        follow(made)
