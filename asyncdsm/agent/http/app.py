"""The agent over HTTP: the intake, and what it has learned."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Hashable, Mapping

from anyio import fail_after, to_thread
from msgspec import Struct
from msgspec.json import encode
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from asyncdsm._version import __version__
from asyncdsm.agent.http.authentication import HEALTH, Access
from asyncdsm.agent.http.connections import BODY_SECONDS, has_hung_up
from asyncdsm.agent.http.live_events import Live
from asyncdsm.agent.http.metrics import About, health, prometheus
from asyncdsm.agent.http.openapi import DESCRIPTION
from asyncdsm.agent.http.page_routes import page_routes
from asyncdsm.agent.http.shared_answers import SharedAnswers
from asyncdsm.agent.intake.body import MAX_BODY_BYTES, BodyMemory
from asyncdsm.agent.intake.errors import IntakeError
from asyncdsm.agent.intake.forwarder import Forwarder
from asyncdsm.agent.intake.ingest_queue import IngestQueue, IntakeCounters
from asyncdsm.agent.intake.repeated_bodies import RecentBodies, hash_body
from asyncdsm.agent.queries.answers import ErrorAnswer, ErrorDetail
from asyncdsm.agent.queries.drawn_map import draw_map
from asyncdsm.agent.queries.lag import lag_over_time
from asyncdsm.agent.queries.parameters import (
    ApiError,
    read_step,
    read_time_range,
    required_parameter,
    unique_parameters,
)
from asyncdsm.agent.queries.pathways import NodeFilter, pathways_through, queue_filter, service_filter
from asyncdsm.agent.queries.series import edge_series
from asyncdsm.agent.queries.topology import topology_of
from asyncdsm.agent.store.store import Store
from asyncdsm.map.layout import FlowName

INTAKE = "/v0.1/pipeline_stats"
LISTED_INTAKES = (
    "/v0.4/traces",
    "/v0.5/traces",
    "/v0.6/stats",
    "/debugger/v1/diagnostics",
    "/debugger/v1/input",
    "/debugger/v2/input",
)
OTHER_INTAKES = (*LISTED_INTAKES, "/v0.7/config", "/telemetry/proxy/{rest:path}")
"""What a tracer sends besides: accepted and forgotten. ddtrace warns of an agent that does not list the debugger's."""
MSGPACK = "application/msgpack"
PROMETHEUS = "text/plain; version=0.0.4"


class Agent:
    """What answers, around a store."""

    def __init__(self, store: Store, forwarder: Forwarder | None = None) -> None:
        self.live: Live = Live(store)
        self._store, self._forwarder = store, forwarder
        self._answers = IntakeCounters()
        self._taking, self._recent = IngestQueue(store, self._answers), RecentBodies()
        self._memory = BodyMemory()
        self._shared = SharedAnswers(store)

    def app(self, token: str | None = None, host: str = "localhost") -> ASGIApp:
        """Return the ASGI app; `token` and `host` as `Access` takes them."""
        routes = [
            *page_routes(self.answer_map),
            Route("/info", info),
            Route(INTAKE, self._take, methods=["POST", "PUT"]),
            Route(f"/api{INTAKE}", self._take, methods=["POST", "PUT"]),
            Route("/api/topology", self._show_topology),
            Route("/api/series", self._show_series),
            Route("/api/lag", self._show_lag),
            Route("/api/pathways", self._show_pathways),
            Route("/api/live", self.live.open),
            Route(HEALTH, self._show_health),
            Route("/api/metrics", self._show_metrics),
            Route("/api/openapi.json", describe),
            *(Route(path, accept_and_ignore, methods=["POST", "PUT"]) for path in OTHER_INTAKES),
        ]
        handlers = {
            IntakeError: bad_request,
            ApiError: bad_request,
            ClientDisconnect: client_disconnected,
            sqlite3.Error: unavailable,
            404: not_found,
            405: not_found,
        }
        return Access(Starlette(routes=routes, exception_handlers=handlers), token, host)

    async def answer_map(self, request: Request, flow: FlowName) -> Response:
        """Answer with the map of the range that a request names. Raises IntakeError."""
        time_range = read_time_range(self._store, _parameters(request))
        return await self._answer(
            ("map", time_range, flow), lambda: draw_map(topology_of(self._store, time_range), flow)
        )

    async def _take(self, request: Request) -> Response:
        try:
            await self._take_body(request)
        except IntakeError as error:
            self._answers.by_status[error.status] += 1
            raise
        self._answers.by_status[202] += 1
        return Response(_ACKNOWLEDGED, 202, media_type="application/json")

    async def _take_body(self, request: Request) -> None:
        if self._forwarder is not None and self._forwarder.has_forwarded(request.headers.getlist("Via")):
            raise IntakeError("Via", "this agent has passed it on already: the agents forward in a circle", 421)
        body = await self._read_body(request)
        try:
            if await self._recent.ingest_once(
                hash_body(body, request.headers.items()),
                lambda: self._forward_and_take(body, request),
                lambda: _will_answer(request),
            ):
                self._answers.repeated += 1
        finally:
            self._memory.release(body)

    async def _read_body(self, request: Request) -> bytes:
        """Read a body that is to be released from memory. Raises IntakeError."""
        try:
            _check_length(request.headers.get("Content-Length", ""))
            with fail_after(BODY_SECONDS):
                return await self._memory.read(request.stream())
        except TimeoutError:
            raise IntakeError("body", f"did not arrive within {BODY_SECONDS:g} s", 408) from None
        except IntakeError as error:
            if self._forwarder is not None and error.status == 413:
                self._forwarder.count_too_large()
            raise

    async def _forward_and_take(self, body: bytes, request: Request) -> None:
        """Forward a body, before anything is known of it, and take it. Raises IntakeError."""
        # Whether Datadog wants it is for Datadog to say: this agent may know less, and its store may be in trouble.
        if self._forwarder is not None:
            self._forwarder.enqueue_payload(body, request.headers.raw)
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        try:
            if kind != MSGPACK:
                raise IntakeError("Content-Type", f"{kind[:40]!r} is not {MSGPACK}", 415)
            await self._taking.ingest_payload(body, request.headers.get("Content-Encoding", "").strip().lower())
        except IntakeError as error:
            self._note_forwarded(body, error)
            raise

    def _note_forwarded(self, body: bytes, error: IntakeError) -> None:
        if self._forwarder is None:
            return
        if error.status >= 500:
            self._forwarder.expect_resend(body)
        self._forwarder.request_save()

    async def _show_topology(self, request: Request) -> Response:
        time_range = read_time_range(self._store, _parameters(request))
        return await self._answer(("topology", time_range), lambda: topology_of(self._store, time_range))

    async def _show_series(self, request: Request) -> Response:
        query = _parameters(request)
        time_range = read_time_range(self._store, query)
        edge, step = required_parameter(query, "edge"), read_step(self._store, query, time_range)
        return await self._answer(
            ("series", time_range, edge, step), lambda: edge_series(self._store, edge, time_range, step)
        )

    async def _show_lag(self, request: Request) -> Response:
        query = _parameters(request)
        time_range, topic = read_time_range(self._store, query), required_parameter(query, "topic")
        group, cluster = query.get("group"), query.get("cluster")
        asked = "lag", time_range, topic, group, cluster
        return await self._answer(asked, lambda: lag_over_time(self._store, time_range, topic, group, cluster))

    async def _show_pathways(self, request: Request) -> Response:
        query = _parameters(request)
        time_range, node = read_time_range(self._store, query), _node(query)
        asked = "pathways", time_range, *(query.get(name) for name in ("service", "env", "queue", "type", "cluster"))
        return await self._answer(asked, lambda: pathways_through(self._store, node, time_range))

    async def _show_health(self, _: Request) -> Response:
        # Not in the thread of those that look at the map: they take seconds where there is much.
        return await to_thread.run_sync(lambda: Response(encode(health(self._about())), media_type="application/json"))

    async def _show_metrics(self, _: Request) -> Response:
        return await to_thread.run_sync(lambda: PlainTextResponse(prometheus(self._about()), media_type=PROMETHEUS))

    def _about(self) -> About:
        forwarded = self._forwarder.stats() if self._forwarder else None
        return About(self._store, self._answers, forwarded, self.live.streams)

    async def _answer(self, asked: Hashable, compute: Callable[[], Struct]) -> Response:
        body = await self._shared.get(asked, lambda: encode(compute()))
        return Response(body, media_type="application/json")


_ACKNOWLEDGED = b'{"acknowledged":true}'


def _check_length(text: str) -> None:
    """Refuse a body that is announced as too long, before any of it is read. Raises IntakeError (413)."""
    if text.isascii() and text.isdecimal() and int(text[:20]) > MAX_BODY_BYTES:
        raise IntakeError("body", f"larger than {MAX_BODY_BYTES} bytes", 413)


async def _will_answer(request: Request) -> bool:
    """Say whether the answer to a payload ends its sender's interest in it, so that the same bytes are another one.

    A payload of asyncdsm has an id of its own: the same bytes are always the same payload.
    """
    return not request.headers.get("User-Agent", "").startswith("asyncdsm/") and not await has_hung_up(request)


async def info(_: Request) -> Response:
    """Say what is taken here, as the Datadog Agent does."""
    return JSONResponse(
        {
            "version": f"asyncdsm-{__version__}",
            "endpoints": [INTAKE, *LISTED_INTAKES],
            "client_drop_p0s": False,
            "config": {},
        }
    )


async def describe(_: Request) -> Response:
    """Describe the API, as OpenAPI does."""
    return JSONResponse(DESCRIPTION)


async def accept_and_ignore(_: Request) -> Response:
    """Accept what a tracer sends besides Data Streams, and ignore it."""
    return JSONResponse({})


async def bad_request(_: Request, error: Exception) -> Response:
    """Answer a request that is refused: what is wrong with it."""
    match error:
        case ApiError():
            return error_response(error.status, error.code, error.message)
        case IntakeError():
            return error_response(error.status, error.path, error.problem)
        case _:
            raise error


def error_response(status: int, path: str, problem: str) -> Response:
    """Return an answer that says what is wrong (`problem`) with which part of the request (`path`)."""
    body = ErrorAnswer(error=ErrorDetail(path=path, problem=problem))
    return Response(encode(body), status, media_type="application/json")


async def unavailable(_: Request, error: Exception) -> Response:
    """Answer when the store's file cannot be read."""
    return error_response(503, "store", str(error))


async def client_disconnected(_: Request, __: Exception) -> Response:
    """Make nothing of a client that hung up in the middle of its body: nobody reads this answer."""
    return Response(status_code=400)


async def not_found(request: Request, error: Exception) -> Response:
    """Answer for a path or a method that is not served."""
    assert isinstance(error, HTTPException)  # noqa: S101
    problem = f"{request.method} is not served here"
    shown = {"error": {"path": request.url.path[:100], "problem": problem}}
    return JSONResponse(shown, error.status_code, headers=error.headers)


def _parameters(request: Request) -> Mapping[str, str]:
    return unique_parameters(request.query_params.multi_items())


def _node(query: Mapping[str, str]) -> NodeFilter:
    if ("service" in query) == ("queue" in query):
        raise ApiError(400, "service", "must be given, or queue, but not both")
    if "service" in query:
        return service_filter(query["service"], query.get("env"))
    return queue_filter(query.get("type", ""), query["queue"], query.get("cluster"))  # HTTP's has no name
