"""aio-pika: `asyncdsm.wrap` for a connection, channel, exchange or queue, or `asyncdsm.instrument("aio_pika")`.

`publish` is how a message leaves, `consume` the ways one arrives, `depth` how many wait in a queue, `memory` what a
consumed message remembers, `follow` how one object is wrapped with all that it makes. Translation only.
"""

from __future__ import annotations

from typing import Any

import aio_pika
from aio_pika import Exchange, Queue, RobustQueue
from aio_pika.queue import QueueIterator
from aio_pika.robust_queue import RobustQueueIterator

from asyncdsm.integration.base import check_version
from asyncdsm.integration.hooks import Hooks
from asyncdsm_aio_pika.consume import instrumented, pathway_of
from asyncdsm_aio_pika.follow import follow, hooks_of

__all__ = ["VERSIONS", "WRAPS", "instrument", "pathway_of", "uninstrument", "wrap"]

VERSIONS = ("9.0", "10.2")
WRAPS = "a connection, channel, exchange, queue or queue iterator"

_hooks = Hooks()


def wrap(client: Any) -> Any | None:
    """Follow the messages of one connection, channel, exchange, queue or iterator; None for anything else.

    A connection's channels are followed from here on; a channel's exchanges and queues, those that it has already too.
    """
    if not follow(client):
        return None
    check_version("aio_pika", aio_pika.__version__, VERSIONS)
    return client


def instrument() -> None:
    """Put the hooks on aio-pika's classes. Callbacks that consume already stay as they are."""
    check_version("aio_pika", aio_pika.__version__, VERSIONS)
    for kind in (Exchange, Queue, RobustQueue, QueueIterator, RobustQueueIterator):
        for name, hook in (hooks_of(kind) or {}).items():
            if name in vars(kind):
                _hooks.put(kind, name, hook)
    instrumented.is_on = True


def uninstrument() -> None:
    """Restore aio-pika's classes; objects that were wrapped one by one stay so."""
    _hooks.remove()
    instrumented.is_on = False
