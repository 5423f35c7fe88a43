"""ASGI: `app.add_middleware(DataStreamsMiddleware)`, for FastAPI, Starlette, Litestar and every other ASGI app.

`middleware` is what stands around each request, `lifetime` what stands around the app's lifespan; `requests` tells
which requests push a message, `carriers` where the message carries its context, `body` reads it where that is there.
`asyncdsm.wrap(app)` and `asyncdsm.instrument("starlette")` add the middleware to Starlette and FastAPI apps.
"""

from __future__ import annotations

from typing import Any

from asyncdsm.core.pathway import Pathway
from asyncdsm_asgi import starlette
from asyncdsm_asgi.middleware import DataStreamsMiddleware
from asyncdsm_asgi.starlette import VERSIONS

__all__ = ["VERSIONS", "WRAPS", "DataStreamsMiddleware", "instrument", "pathway_of", "uninstrument", "wrap"]

WRAPS = "a Starlette or FastAPI app that has not started"


def wrap(client: Any) -> Any | None:
    """Add the middleware to a Starlette or FastAPI app; None for anything else."""
    return starlette.wrap(client)


def instrument() -> None:
    """Add the middleware to every Starlette and FastAPI app, those that exist already too."""
    starlette.instrument()


def uninstrument() -> None:
    """Take it off again; apps that were wrapped one by one keep it."""
    starlette.uninstrument()


def pathway_of(message: Any) -> Pathway | None:
    """Return None: in a request, its pathway is the current one."""
    del message
    return None
