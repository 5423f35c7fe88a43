"""httpx2 and httpx: `asyncdsm.wrap(client)` puts the context on what this client sends. Nothing else does.

A request may leave the house: `asyncdsm.instrument` and `asyncdsm run` leave every client alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asyncdsm import checkpoint
from asyncdsm.edge import Edge
from asyncdsm.hooks import Hooks, hook_failed
from asyncdsm.integration import check_version
from asyncdsm.pathway import HEADER, Pathway

__all__ = ["ONLY_WRAPPED", "VERSIONS", "instrument", "pathway_of", "uninstrument", "wrap"]

VERSIONS = ("0.27", "2.16")
"""Of httpx from the first, of httpx2 to the last."""

ONLY_WRAPPED = True
"""Told by `asyncdsm doctor`."""

_OUT = Edge("direction:out", "type:http")

_hooks = Hooks()


class _Missing:
    """Stands for a class of a library that is not imported, or that another thread is just importing."""


def wrap(client: Any) -> Any | None:
    """Follow the requests of one client, for asyncio and trio or synchronous; None for anything else."""
    for name in ("httpx2", "httpx"):
        library: Any = sys.modules.get(name)
        kinds = tuple(getattr(library, kind, _Missing) for kind in ("AsyncClient", "Client"))
        if isinstance(client, kinds):
            check_version(name, library.__version__, VERSIONS)
            _hooks.put(client, "send", _send_async if isinstance(client, kinds[0]) else _send)
            return client
    return None


def instrument() -> None:
    """Do nothing: a client is followed where `wrap` says so."""


def uninstrument() -> None:
    """Do nothing."""


def pathway_of(message: Any) -> Pathway | None:
    """Return None: an answer carries no pathway."""
    del message
    return None


def _send_async(original: Callable[..., Any]) -> Callable[..., Any]:
    async def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        with _addressed(request):
            return await original(self, request, *args, **kwargs)

    return send


def _send(original: Callable[..., Any]) -> Callable[..., Any]:
    def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        with _addressed(request):
            return original(self, request, *args, **kwargs)

    return send


@contextmanager
def _addressed(request: Any) -> Iterator[None]:
    """Have the context among a request's headers while it is sent, and count it if an answer came.

    Then the headers are what they were: the request may be the caller's own, and sent again.
    """
    departure, before = None, None
    try:
        departure = checkpoint.prepare(_OUT)
        if departure is not None:
            before = request.headers.get(HEADER)
            request.headers[HEADER] = departure.header
    except Exception as error:
        hook_failed(error)
    try:
        yield
    finally:
        if departure is not None:
            try:
                _restore(request, before)
            except Exception as error:
                hook_failed(error)
    if departure is not None:
        checkpoint.depart(departure)


def _restore(request: Any, before: str | None) -> None:
    if before is None:
        request.headers.pop(HEADER, None)
    else:
        request.headers[HEADER] = before
