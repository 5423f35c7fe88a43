"""Starlette and FastAPI apps: the middleware put around them without a line of theirs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from asyncdsm.integration.base import check_version
from asyncdsm.integration.hooks import Hooks
from asyncdsm_asgi.middleware import DataStreamsMiddleware
from asyncdsm_asgi.protocol import Receive, Scope, Send

VERSIONS = ("0.40", "1.10")

_hooks = Hooks()


def wrap(client: Any) -> Any | None:
    """Add the middleware to one app, started or not; None for anything that is not Starlette's."""
    # Not there yet while another thread is importing it.
    application = getattr(sys.modules.get("starlette.applications"), "Starlette", None)
    if application is None or not isinstance(client, application):
        return None
    _check_version()
    if client.middleware_stack is None:
        client.add_middleware(DataStreamsMiddleware)
    else:  # it has started, and takes no more
        client.middleware_stack = DataStreamsMiddleware(client.middleware_stack)
    return client


def instrument() -> None:
    """Put the middleware around every app, FastAPI's too, which are Starlette's."""
    from starlette.applications import Starlette  # noqa: PLC0415  (the middleware needs no Starlette)

    _check_version()
    _hooks.put(Starlette, "__call__", _call)


def uninstrument() -> None:
    """Restore Starlette's class."""
    _hooks.remove()


def _call(original: Callable[..., Any]) -> Callable[..., Any]:
    async def call(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        middleware = vars(self).get("_asyncdsm")
        if middleware is None or middleware.app.args[0] is not self:  # the first call, or a copy of another app
            middleware = vars(self)["_asyncdsm"] = DataStreamsMiddleware(partial(original, self))
        await middleware(scope, receive, send)

    return call


def _check_version() -> None:
    import starlette  # noqa: PLC0415

    check_version("starlette", starlette.__version__, VERSIONS)
