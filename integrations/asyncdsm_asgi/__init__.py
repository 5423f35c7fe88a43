"""ASGI: `app.add_middleware(DataStreamsMiddleware)`, for FastAPI, Starlette, Litestar and every other ASGI app.

`asyncdsm.wrap(app)` and `asyncdsm.instrument("starlette")` add the middleware to Starlette and FastAPI apps.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from asyncdsm.integration import Integration
from asyncdsm_asgi.middleware import DataStreamsMiddleware

__all__ = ["DataStreamsMiddleware", "StarletteIntegration", "integration"]


class StarletteIntegration(Integration):
    """Adds the middleware to Starlette apps, of which FastAPI's are a subclass.

    A pushed message has no object that `using` could take: in a request, its pathway is the current one.
    """

    package: str = "starlette"
    versions: tuple[str, str] = "0.40", "1.10"
    wraps: str = "a Starlette or FastAPI app that has not started"

    def is_client(self, client: object) -> bool:
        # The class is not there yet while another thread is importing the package.
        application = getattr(sys.modules.get("starlette.applications"), "Starlette", None)
        return application is not None and isinstance(client, application)

    def follow(self, client: Any) -> Any:
        if client.middleware_stack is None:
            client.add_middleware(DataStreamsMiddleware)
        else:  # the app has started, and accepts no more middleware
            client.middleware_stack = DataStreamsMiddleware(client.middleware_stack)
        return client

    def hook_classes(self) -> None:
        from starlette.applications import Starlette  # noqa: PLC0415  (the middleware itself works without Starlette)

        self.hooks.put(Starlette, "__call__", hook_call)


def hook_call(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Starlette.__call__`: each app, also one that exists already, gets a middleware of its own around it."""

    async def call(app: Any, /, scope: Any, receive: Any, send: Any, *args: Any, **kwargs: Any) -> None:
        if args or kwargs:  # not a call of ASGI 3: left to the app
            return await original(app, scope, receive, send, *args, **kwargs)  # type: ignore[no-any-return]
        middleware = vars(app).get("_asyncdsm")
        if middleware is None or middleware.app.args[0] is not app:  # the first call, or a copy of another app
            middleware = vars(app)["_asyncdsm"] = DataStreamsMiddleware(partial(original, app))
        await middleware(scope, receive, send)
        return None

    return call


integration: StarletteIntegration = StarletteIntegration()
