"""Kombu: `asyncdsm.wrap` for a connection, or `asyncdsm.instrument("kombu")`. Celery stands on it: `asyncdsm_celery`.

`publish` is how a message leaves, `consume` the ways one arrives, `transports` those that stand on another client,
`followed` says whose messages are followed, `names` what things are called. Translation only.
"""

from __future__ import annotations

from typing import Any

import kombu
from kombu.connection import Connection, ConnectionPool
from kombu.entity import Queue
from kombu.messaging import Producer
from kombu.simple import SimpleBase

from asyncdsm.integration.base import check_version
from asyncdsm.integration.hooks import Hooks
from asyncdsm_kombu import consume, publish, transports
from asyncdsm_kombu.consume import pathway_of
from asyncdsm_kombu.followed import follow, follow_all, followed_one_by_one, hand_down

__all__ = ["VERSIONS", "WRAPS", "instrument", "pathway_of", "put_hooks", "uninstrument", "wrap"]

VERSIONS = ("5.2", "5.7")
WRAPS = "a Connection"

_hooks = Hooks()


def wrap(client: Any) -> Any | None:
    """Follow the messages of one connection, with its clones and pools; None for anything else.

    What consumes already stays as it is.
    """
    if not issubclass(type(client), Connection):
        return client if isinstance(client, Connection) else None  # a mock of one stays as it is
    put_hooks()
    follow(client)
    return client


def instrument() -> None:
    """Follow the messages of every connection. What consumes already stays as it is."""
    put_hooks()
    follow_all(True)


def uninstrument() -> None:
    """Follow only what was wrapped; when nothing was, Kombu's classes are what they were before."""
    follow_all(False)
    if not followed_one_by_one():
        _hooks.remove()
        transports.remove_hooks()


def put_hooks() -> None:
    """Put the hooks on Kombu's classes, where they act for what is followed.

    Not on objects: mixins and pools make connections of their own.
    """
    check_version("kombu", kombu.__version__, VERSIONS)
    _hooks.put(Producer, "publish", publish.publish)
    _hooks.put(Producer, "_prepare", publish.prepare)
    _hooks.put(Queue, "consume", consume.consume)
    _hooks.put(Queue, "get", consume.get)
    _hooks.put(SimpleBase, "get", consume.simple_get)
    _hooks.put(Connection, "clone", hand_down)
    _hooks.put(ConnectionPool, "new", hand_down)
