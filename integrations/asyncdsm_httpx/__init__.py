"""httpx2 and httpx: `asyncdsm.wrap(client)` puts the context on what this client sends. Nothing else does.

A request may leave the house: `asyncdsm.instrument` and `asyncdsm run` leave every client alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from asyncdsm.core import checkpoint
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import Pathway
from asyncdsm.integration.base import check_version
from asyncdsm.integration.hooks import Hooks
from asyncdsm_httpx.transport import ContextTransport

__all__ = ["ONLY_WRAPPED", "VERSIONS", "WRAPS", "instrument", "pathway_of", "uninstrument", "wrap"]

VERSIONS = ("0.27", "2.16")
"""Of httpx from the first, of httpx2 to the last."""
WRAPS = "a Client or an AsyncClient"

ONLY_WRAPPED = True
"""Told by `asyncdsm doctor`."""

_OUT = Edge("direction:out", "type:http")

_hooks = Hooks()


class _Missing:
    """Stands for a class of a library that is not imported, or that another thread is just importing."""


class _Sending(NamedTuple):
    """A call of a wrapped client's `send` that has not returned."""

    header: str
    url: Any
    """Where the caller's request goes. The context goes to no other origin."""


_sending: ContextVar[_Sending | None] = ContextVar("asyncdsm_httpx_sending", default=None)


def wrap(client: Any) -> Any | None:
    """Follow the requests of one client, for asyncio and trio or synchronous; None for anything else."""
    for name in ("httpx2", "httpx"):
        library: Any = sys.modules.get(name)
        kinds = tuple(getattr(library, kind, _Missing) for kind in ("AsyncClient", "Client"))
        if isinstance(client, kinds):
            if issubclass(type(client), kinds):  # a mock with a client's spec is none
                check_version(name, library.__version__, VERSIONS)
                _hooks.put(client, "send", _send_async if isinstance(client, kinds[0]) else _send)
                _hooks.put(client, "_transport_for_url", _transport_for_url)
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
    async def send(*args: Any, **kwargs: Any) -> Any:
        with _count_answered(*args, **kwargs):
            return await original(*args, **kwargs)

    return send


def _send(original: Callable[..., Any]) -> Callable[..., Any]:
    def send(*args: Any, **kwargs: Any) -> Any:
        with _count_answered(*args, **kwargs):
            return original(*args, **kwargs)

    return send


@contextmanager
def _count_answered(_client: Any = None, request: Any = None, *_args: Any, **_more: Any) -> Iterator[None]:
    """Have a context ready while a request is sent, and count the request if an answer came."""
    pending, before = None, _sending.get()
    try:
        pending = checkpoint.begin_produce(_OUT)
        _sending.set(pending and _Sending(pending[0].decode(), getattr(request, "url", None)))
    except Exception as error:
        report_hook_error(error)
    try:
        yield
    finally:
        _sending.set(before)
    if pending is not None:
        checkpoint.finish_produce(pending[1])


def _transport_for_url(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook what chooses the transport of each single request: the caller's, those of redirects and of logins."""

    def transport_for_url(client: Any, url: Any, *args: Any, **kwargs: Any) -> Any:
        transport, sending = original(client, url, *args, **kwargs), _sending.get()
        try:
            if sending is not None and _is_same_origin(sending.url, url):
                return ContextTransport(transport, sending.header)
        except Exception as error:
            report_hook_error(error)
        return transport

    return transport_for_url


def _is_same_origin(url: Any, other: Any) -> bool:
    """Say whether a context for one URL may go to another: to the same origin, or to its HTTPS."""
    if url.host != other.host:
        return False
    ports = (url.scheme, url.port), (other.scheme, other.port)  # a default port is None
    return ports[0] == ports[1] or ports == (("http", None), ("https", None))
