"""The agent over HTTP: the intake, and what it has learned."""

from __future__ import annotations

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asyncdsm._version import __version__
from asyncdsm.agent.intake import IntakeError, read_body, read_report
from asyncdsm.agent.store import KEPT_MINUTES, Store
from asyncdsm.agent.topology import topology

INTAKE = "/v0.1/pipeline_stats"
OTHER_INTAKES = (
    "/v0.4/traces",
    "/v0.5/traces",
    "/v0.6/stats",
    "/v0.7/config",
    "/telemetry/proxy/{rest:path}",
)
"""What a tracer sends besides: thanked for and forgotten, so that it does not complain."""
DEFAULT_MINUTES = 10


def create_app(store: Store) -> Starlette:
    """Return the ASGI app around a store."""
    limiter = CapacityLimiter(2)  # reading payloads is all computing: more threads would only hold more bodies

    async def take(request: Request) -> JSONResponse:
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/msgpack":
            raise IntakeError("Content-Type", f"{kind[:40]!r} is not application/msgpack", 415)
        body = await read_body(request.stream())
        encoding = request.headers.get("Content-Encoding", "").strip().lower()
        await to_thread.run_sync(lambda: store.add(read_report(body, encoding)), limiter=limiter)
        return JSONResponse({"acknowledged": True}, 202)

    async def show(request: Request) -> JSONResponse:
        minutes = _minutes(request.query_params.get("minutes", str(DEFAULT_MINUTES)))
        return await to_thread.run_sync(lambda: JSONResponse(topology(store, minutes)), limiter=limiter)

    async def health(_: Request) -> JSONResponse:
        return JSONResponse(
            {
                "status": "ok",
                "payloads": store.payloads,
                "forgotten_rows": store.forgotten_rows,
                "ignored_rows": store.ignored_rows,
            }
        )

    return Starlette(
        routes=[
            Route("/info", info),
            Route(INTAKE, take, methods=["POST", "PUT"]),
            Route(f"/api{INTAKE}", take, methods=["POST", "PUT"]),
            Route("/api/topology", show),
            Route("/api/health", health),
            *(Route(path, thank, methods=["POST", "PUT"]) for path in OTHER_INTAKES),
        ],
        exception_handlers={IntakeError: refuse, ClientDisconnect: let_go, 404: unknown, 405: unknown},
    )


async def info(_: Request) -> JSONResponse:
    """Say what is taken here, as the Datadog Agent does."""
    return JSONResponse(
        {
            "version": f"asyncdsm-{__version__}",
            "endpoints": [INTAKE, "/v0.4/traces", "/v0.5/traces", "/v0.6/stats"],
            "client_drop_p0s": False,
            "config": {},
        }
    )


async def thank(_: Request) -> JSONResponse:
    """Take what is not ours to look at."""
    return JSONResponse({})


async def refuse(_: Request, error: Exception) -> JSONResponse:
    """Answer a request that is wrong: which field, and what about it."""
    assert isinstance(error, IntakeError)  # noqa: S101  (what the route was registered for)
    return JSONResponse({"error": {"path": error.path, "problem": error.problem}}, error.status)


async def let_go(_: Request, __: Exception) -> Response:
    """Make nothing of a client that hung up in the middle of its body: nobody reads this answer."""
    return Response(status_code=400)


async def unknown(request: Request, error: Exception) -> JSONResponse:
    """Answer for a path or a method that is not served."""
    assert isinstance(error, HTTPException)  # noqa: S101
    problem = f"{request.method} is not served here"
    return JSONResponse({"error": {"path": request.url.path[:100], "problem": problem}}, error.status_code)


def _minutes(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= KEPT_MINUTES):
        raise IntakeError("minutes", f"{text[:40]!r} is not a whole number from 1 to {KEPT_MINUTES}")
    return int(text)
