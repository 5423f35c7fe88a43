"""confluent-kafka: `asyncdsm.wrap(client)`, `asyncdsm.wrap(Consumer)`, or `asyncdsm.instrument("confluent_kafka")`.

Its classes are C's and take no hook. So hooks stand on subclasses: `follow` makes them, and lets an object or a class
become one; `standin` is for objects of C's own classes, which cannot; `names` puts subclasses in the classes' place.
`client` is what is known of one client, `produce` and `reports` are what is sent and what the broker answered,
`consume`, `offsets` and `behind` what is received, committed and still to be read, `aio` the asyncio clients.
"""

from __future__ import annotations

from typing import Any

from confluent_kafka import cimpl

from asyncdsm._internal.mocks import is_mock
from asyncdsm.integration.base import check_version
from asyncdsm.integration.hooks import Hooks
from asyncdsm_confluent import names
from asyncdsm_confluent.aio import asyncio_kinds
from asyncdsm_confluent.client import forget_instrumented
from asyncdsm_confluent.consume import pathway_of
from asyncdsm_confluent.follow import follow, is_client_class
from asyncdsm_confluent.kinds import c_kinds, put

__all__ = ["VERSIONS", "WRAPS", "instrument", "pathway_of", "uninstrument", "wrap"]

VERSIONS = ("2.3", "2.16")
WRAPS = "a client of confluent_kafka or confluent_kafka.aio, or the class of one"

_hooks = Hooks()


def wrap(client: Any) -> Any | None:
    """Return what to use in the place of a client or of a class of clients; None for anything else.

    An object of one of C's own classes gets one that stands in for it, any other is returned itself. Commits that
    nobody waits for are told only through `on_commit`, which is given to a consumer when it is made: to see them, wrap
    the class.
    """
    if is_mock(client):
        return client if is_client_class(client.__class__) else None
    followed = follow(client)
    if followed is not None:
        _check_version()
    return followed


def instrument() -> None:
    """Let every client made from here on be followed, whichever module has imported its class already."""
    _check_version()
    for own, hooks in c_kinds().items():
        put(_hooks, names.swap(own), hooks)
    for own, hooks in asyncio_kinds().items():
        put(_hooks, own, hooks)


def uninstrument() -> None:
    """Restore the classes and their names; clients that were wrapped one by one stay so."""
    _hooks.remove()
    forget_instrumented()
    for own in c_kinds():
        names.restore(own)


def _check_version() -> None:
    # A text since 2.12, before that a tuple that begins with one.
    version: Any = cimpl.version()
    check_version("confluent-kafka", version if isinstance(version, str) else version[0], VERSIONS)
