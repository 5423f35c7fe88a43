"""The agent over HTTP: the intake, and what it has learned."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

from anyio import CapacityLimiter, fail_after, to_thread
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
from asyncdsm.agent.http.page_routes import drawn, page_routes
from asyncdsm.agent.http.shared_answers import SharedAnswers
from asyncdsm.agent.intake.body import MAX_BODY_BYTES, BodyMemory
from asyncdsm.agent.intake.errors import IntakeError
from asyncdsm.agent.intake.forwarder import Forwarder
from asyncdsm.agent.intake.ingest_queue import IngestQueue, IntakeCounters
from asyncdsm.agent.intake.repeated_bodies import RecentBodies, hash_body
from asyncdsm.agent.queries.lag import lag_over_time
from asyncdsm.agent.queries.pathways import Node, at_queue, at_service, pathways
from asyncdsm.agent.queries.series import series
from asyncdsm.agent.queries.time_ranges import read_span, read_step
from asyncdsm.agent.queries.topology import topology_of
from asyncdsm.agent.store.store import Store

T = TypeVar("T")

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
        self._limiter = CapacityLimiter(1)  # reading is all computing: more threads would only hold more of it

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
            *(Route(path, thank, methods=["POST", "PUT"]) for path in OTHER_INTAKES),
        ]
        handlers = {
            IntakeError: refuse,
            ClientDisconnect: let_go,
            sqlite3.Error: unavailable,
            404: unknown,
            405: unknown,
        }
        return Access(Starlette(routes=routes, exception_handlers=handlers), token, host)

    async def answer_map(self, request: Request, flow: str) -> Response:
        """Answer with the map of the range that a request names. Raises IntakeError."""
        span = read_span(self._store, _query(request))
        return await self._answer(("map", span, flow), lambda: drawn(topology_of(self._store, span), flow))

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
        span = read_span(self._store, _query(request))
        return await self._answer(("topology", span), lambda: topology_of(self._store, span))

    async def _show_series(self, request: Request) -> Response:
        query = _query(request)
        span = read_span(self._store, query)
        edge, step = _needed(query, "edge"), read_step(self._store, query, span)
        return await self._answer(("series", span, edge, step), lambda: series(self._store, edge, span, step))

    async def _show_lag(self, request: Request) -> Response:
        query = _query(request)
        span, topic = read_span(self._store, query), _needed(query, "topic")
        group, cluster = query.get("group"), query.get("cluster")
        asked = "lag", span, topic, group, cluster
        return await self._answer(asked, lambda: lag_over_time(self._store, span, topic, group, cluster))

    async def _show_pathways(self, request: Request) -> Response:
        query = _query(request)
        span, node = read_span(self._store, query), _node(query)
        asked = "pathways", span, *(query.get(name) for name in ("service", "env", "queue", "type", "cluster"))
        return await self._answer(asked, lambda: pathways(self._store, node, span))

    async def _show_health(self, _: Request) -> Response:
        # Not in the thread of those that look at the map: they take seconds where there is much.
        return await to_thread.run_sync(lambda: JSONResponse(health(self._about())))

    async def _show_metrics(self, _: Request) -> Response:
        return await to_thread.run_sync(lambda: PlainTextResponse(prometheus(self._about()), media_type=PROMETHEUS))

    def _about(self) -> About:
        forwarded = self._forwarder.stats() if self._forwarder else None
        return About(self._store, self._answers, forwarded, self.live.streams)

    async def _answer(self, asked: Hashable, compute: Callable[[], dict[str, Any]]) -> Response:
        body = await self._shared.get(asked, lambda: bytes(JSONResponse(compute()).body))
        return Response(body, media_type="application/json")

    async def _apart(self, work: Callable[[], T]) -> T:
        return await to_thread.run_sync(work, limiter=self._limiter)


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


async def thank(_: Request) -> Response:
    """Take what is not ours to look at."""
    return JSONResponse({})


async def refuse(_: Request, error: Exception) -> Response:
    """Answer a request that is wrong: which field, and what about it."""
    assert isinstance(error, IntakeError)  # noqa: S101  (what the route was registered for)

    return JSONResponse({"error": {"path": error.path, "problem": error.problem}}, error.status)


async def unavailable(_: Request, error: Exception) -> Response:
    """Answer when the store's file cannot be read."""
    return JSONResponse({"error": {"path": "store", "problem": str(error)}}, 503)


async def let_go(_: Request, __: Exception) -> Response:
    """Make nothing of a client that hung up in the middle of its body: nobody reads this answer."""
    return Response(status_code=400)


async def unknown(request: Request, error: Exception) -> Response:
    """Answer for a path or a method that is not served."""
    assert isinstance(error, HTTPException)  # noqa: S101
    problem = f"{request.method} is not served here"
    shown = {"error": {"path": request.url.path[:100], "problem": problem}}
    return JSONResponse(shown, error.status_code, headers=error.headers)


def _query(request: Request) -> Mapping[str, str]:
    """Return the query by name. Raises IntakeError where a name is given twice."""
    items = request.query_params.multi_items()
    query = dict(items)
    for name, _ in items if len(query) < len(items) else ():
        if len(request.query_params.getlist(name)) > 1:
            raise IntakeError(name[:40], "given more than once")
    return query


def _needed(query: Mapping[str, str], name: str) -> str:
    if name not in query:  # an empty name is one, too: a topic may have it
        raise IntakeError(name, "has to be given")
    return query[name]


def _node(query: Mapping[str, str]) -> Node:
    if ("service" in query) == ("queue" in query):
        raise IntakeError("service", "either service or queue has to be given")
    if "service" in query:
        return at_service(query["service"], query.get("env"))
    return at_queue(query.get("type", ""), query["queue"], query.get("cluster"))  # a queue may have no name, as HTTP's
