"""The hooks on one client: a context for each request, and a checkpoint for each one that was answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from asyncdsm.integration import Edge, PendingProduce, begin_produce, finish_produce, guarded
from asyncdsm.integration.formats.transactions import HTTP_OUT, extract_from_pairs
from asyncdsm_httpx.transport import ContextTransport

_OUT = Edge("direction:out", "type:http")


class _ActiveSend(NamedTuple):
    """A call of a wrapped client's `send` that has not returned."""

    header: str
    url: Any
    """Where the caller's request goes. The context goes to no other origin."""


_active_send: ContextVar[_ActiveSend | None] = ContextVar("asyncdsm_httpx_send", default=None)


def hook_async_send(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AsyncClient.send`."""

    async def send(*args: Any, **kwargs: Any) -> Any:
        with _count_answered(*args, **kwargs):
            return await original(*args, **kwargs)

    return send


def hook_sync_send(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Client.send`."""

    def send(*args: Any, **kwargs: Any) -> Any:
        with _count_answered(*args, **kwargs):
            return original(*args, **kwargs)

    return send


def hook_transport_for_url(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `_transport_for_url`, which is called for each single request: the caller's, redirects and logins."""

    def transport_for_url(*args: Any, **kwargs: Any) -> Any:
        transport = original(*args, **kwargs)
        return _add_context(transport, *args, **kwargs) or transport

    return transport_for_url


@contextmanager
def _count_answered(*args: Any, **kwargs: Any) -> Iterator[None]:
    """Have a context ready while a request is sent, and count the request if an answer came."""
    before = _active_send.get()
    pending = _begin_request(*args, **kwargs)
    try:
        yield
    finally:
        _active_send.set(before)
    if pending is not None:
        finish_produce(pending)
        if HTTP_OUT:
            _extract_transactions(*args, **kwargs)


@guarded
def _extract_transactions(_client: Any = None, /, request: Any = None, *_args: Any, **_more: Any) -> None:
    extract_from_pairs(HTTP_OUT, ((name.lower(), value) for name, value in request.headers.items()))


@guarded
def _begin_request(_client: Any = None, /, request: Any = None, *_args: Any, **_more: Any) -> PendingProduce | None:
    pending = begin_produce(_OUT)
    url = getattr(request, "url", None)
    _active_send.set(None if pending is None else _ActiveSend(pending.header.decode(), url))
    return pending


@guarded
def _add_context(transport: Any, _client: Any, /, url: Any, *_args: Any, **_more: Any) -> ContextTransport | None:
    send = _active_send.get()
    return ContextTransport(transport, send.header) if send is not None and _is_same_origin(send.url, url) else None


def _is_same_origin(url: Any, other: Any) -> bool:
    """Say whether the context of a request to `url` may go to `other`: to the same origin, or to its HTTPS."""
    if url.host != other.host:
        return False
    ports = (url.scheme, url.port), (other.scheme, other.port)  # a default port is None
    return ports[0] == ports[1] or ports == (("http", None), ("https", None))
