"""The ASGI app of the agent: all routes, and what answers them."""

from __future__ import annotations

from time import monotonic
from typing import Any

from anyio import to_thread
from msgspec.json import encode
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from asyncdsm._version import __version__
from asyncdsm.agent.alerts.watcher import AlertWatcher
from asyncdsm.agent.http.authentication import HEALTH, Authentication
from asyncdsm.agent.http.error_responses import bad_request, client_disconnected, not_found, store_unavailable
from asyncdsm.agent.http.health import measure_health
from asyncdsm.agent.http.intake_endpoint import IntakeEndpoint
from asyncdsm.agent.http.live_events import LiveEvents
from asyncdsm.agent.http.openapi import DESCRIPTION
from asyncdsm.agent.http.page_routes import PAGE
from asyncdsm.agent.http.query_endpoints import QueryEndpoints
from asyncdsm.agent.http.rule_endpoints import RuleEndpoint
from asyncdsm.agent.intake.errors import IntakeError
from asyncdsm.agent.intake.forwarder import Forwarder
from asyncdsm.agent.metrics.exposition import AgentState, format_metrics
from asyncdsm.agent.metrics.formats import choose_format
from asyncdsm.agent.metrics.traffic_totals import TrafficTotals
from asyncdsm.agent.queries.parameters import ApiError
from asyncdsm.agent.store.protocol import UNAVAILABLE, Store

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
"""What tracers send besides Data Streams. ddtrace logs a warning if an agent does not list the debugger's endpoints."""


class Agent:
    """The endpoints of one agent, around its store."""

    def __init__(self, store: Store, forwarder: Forwarder | None = None, alerts: AlertWatcher | None = None) -> None:
        self.live: LiveEvents = LiveEvents(store)
        self._store, self._forwarder = store, forwarder
        self._alerts = alerts or AlertWatcher(store, None)
        self._traffic = TrafficTotals(monotonic, store.points)
        self._intake = IntakeEndpoint(store, forwarder, self._traffic)
        self._queries = QueryEndpoints(store)

    def app(self, token: str | None = None, host: str = "localhost") -> ASGIApp:
        """Return the ASGI app; `token` and `host` are those of `Authentication`."""
        routes = [
            *PAGE.routes(),
            *self._queries.routes(),
            Route("/info", show_info),
            Route(INTAKE, self._intake.receive_payload, methods=["POST", "PUT"]),
            Route(f"/api{INTAKE}", self._intake.receive_payload, methods=["POST", "PUT"]),
            Route("/api/alerts", self._show_alerts),
            *RuleEndpoint(self._alerts).route(),
            Route("/api/live", self.live.open_stream),
            Route(HEALTH, self._show_health),
            Route("/api/metrics", self._show_metrics),
            Route("/api/openapi.json", describe_api),
            *(Route(path, accept_and_ignore, methods=["POST", "PUT"]) for path in OTHER_INTAKES),
        ]
        handlers: dict[Any, Any] = {
            ApiError: bad_request,
            IntakeError: bad_request,
            ClientDisconnect: client_disconnected,
            **dict.fromkeys(UNAVAILABLE, store_unavailable),
            404: not_found,
            405: not_found,
        }
        return Authentication(Starlette(routes=routes, exception_handlers=handlers), token, host, self._note_refused)

    def _note_refused(self, path: str, status: int) -> None:
        if path in {INTAKE, f"/api{INTAKE}"}:
            self._intake.count_denied(status)

    async def _show_health(self, _: Request) -> Response:
        # Not in the thread that answers queries: these take seconds if there is much to read.
        body = await to_thread.run_sync(lambda: encode(measure_health(self._state())))
        return Response(body, media_type="application/json")

    async def _show_alerts(self, _: Request) -> Response:
        return Response(encode(self._alerts.answer), media_type="application/json")

    async def _show_metrics(self, request: Request) -> Response:
        wanted = choose_format(",".join(request.headers.getlist("Accept")))
        body = await to_thread.run_sync(lambda: format_metrics(self._state(), wanted))
        return Response(body, headers={"Content-Type": wanted.content_type, "Vary": "Accept"})

    def _state(self) -> AgentState:
        forwarded = self._forwarder.stats() if self._forwarder else None
        alerts = self._alerts.counts() if self._alerts.has_rules else None
        return AgentState(self._store, self._intake.counters, self._traffic, forwarded, self.live.streams, alerts)


async def show_info(_: Request) -> Response:
    """Answer with what the agent accepts, in the format of the Datadog Agent."""
    return JSONResponse(
        {
            "version": f"asyncdsm-{__version__}",
            "endpoints": [INTAKE, *LISTED_INTAKES],
            "client_drop_p0s": False,
            "config": {},
        }
    )


async def describe_api(_: Request) -> Response:
    """Answer with the OpenAPI description."""
    return JSONResponse(DESCRIPTION)


async def accept_and_ignore(_: Request) -> Response:
    """Accept what a tracer sends besides Data Streams, and ignore it."""
    return JSONResponse({})
