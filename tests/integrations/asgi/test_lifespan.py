"""The middleware around an app's lifespan, and around apps and servers without one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any

import anyio
import litestar
import pytest
from asyncdsm_asgi import DataStreamsMiddleware
from blockbuster import BlockBuster
from fastapi import FastAPI
from starlette.applications import Starlette

import asyncdsm
from asyncdsm import DataStreams, Settings
from asyncdsm._internal import log
from asyncdsm.core.context import HEADER
from asyncdsm.delivery.exporters.memory import MemoryExporter
from asyncdsm.streams import running_streams
from tests import by_hand
from tests.intake import Intake
from tests.integrations.asgi.apps import CONTEXT, OUT, Handler, request, run_lifespan_of


@pytest.mark.parametrize("kind", [Starlette, FastAPI])
async def test_app_is_measured_from_startup_to_shutdown(kind: Any, intake: Intake) -> None:
    app = DataStreamsMiddleware(kind())
    async with run_lifespan_of(app):
        await request(app, {HEADER: CONTEXT})
        by_hand.produce(OUT)
        assert intake.counted() == 0
    assert intake.counted() >= 2
    assert running_streams() is None


async def returns(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await Handler()(scope, receive, send)


async def returns_after_it_started(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
    else:
        await Handler()(scope, receive, send)


async def raises_after_it_started(scope: Any, receive: Any, send: Any) -> None:
    await returns_after_it_started(scope, receive, send)
    if scope["type"] == "lifespan":
        raise AssertionError("the lifespan ends early")


@pytest.mark.parametrize("app", [Handler(), returns, returns_after_it_started, raises_after_it_started])
async def test_app_whose_lifespan_ends_early_is_still_measured(app: Any, intake: Intake) -> None:
    app = DataStreamsMiddleware(app)

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        pass

    with suppress(AssertionError):
        await app({"type": "lifespan"}, receive, send)
    await request(app, {HEADER: CONTEXT})
    streams = running_streams()
    assert streams is not None
    await streams.aclose()
    assert intake.counted() == 2


async def test_cancelled_lifespan_delivers_what_was_recorded(intake: Intake) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        by_hand.produce(OUT)
        started.set()
        await anyio.sleep_forever()

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    started = anyio.Event()
    async with anyio.create_task_group() as tasks:
        lives: Any = DataStreamsMiddleware(app)
        tasks.start_soon(lives, {"type": "lifespan"}, receive, None)
        await started.wait()
        tasks.cancel_scope.cancel()
    assert intake.counted() == 1
    assert running_streams() is None


async def test_recorded_points_are_delivered_before_shutdown_complete(intake: Intake) -> None:
    counted = dict[str, int]()
    asked = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]

    async def receive() -> Any:
        by_hand.produce(OUT)  # the first time, nothing is measured yet
        return asked.pop()

    async def send(message: Any) -> None:
        counted[message["type"]] = intake.counted()

    await DataStreamsMiddleware(Starlette())({"type": "lifespan", "app": None}, receive, send)
    assert counted == {"lifespan.startup.complete": 0, "lifespan.shutdown.complete": 1}


async def test_data_streams_of_the_apps_own_lifespan_takes_precedence(intake: Intake) -> None:
    own = DataStreams(Settings(service="own"), exporter=MemoryExporter())

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[dict[str, int]]:
        async with own, asyncdsm.lifespan():
            yield {"x": 1}

    app = DataStreamsMiddleware(FastAPI(lifespan=lifespan))
    async with run_lifespan_of(app):
        by_hand.produce(OUT)
        assert running_streams() is own
    assert (own.stats.delivered, intake.counted()) == (1, 0)


async def test_data_streams_that_runs_already_keeps_running(intake: Intake) -> None:
    async with DataStreams(Settings(service="own"), exporter=MemoryExporter()) as own:
        async with run_lifespan_of(DataStreamsMiddleware(Starlette())):
            by_hand.produce(OUT)
        assert own.stats.delivered == 1
        by_hand.produce(OUT)
    assert (own.stats.delivered, intake.counted()) == (2, 0)


async def test_asyncdsm_lifespan_alone_delivers_at_shutdown(intake: Intake) -> None:
    async with run_lifespan_of(FastAPI(lifespan=asyncdsm.lifespan)):
        by_hand.produce(OUT)
    assert intake.counted() == 1


@pytest.mark.parametrize("how", ["middleware", "lifespan", "instrument"])
async def test_wrong_setting_is_logged_once_and_the_app_runs(
    how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DD_TRACE_AGENT_PORT", "http")
    log.forget_warnings()
    app: Any = FastAPI(lifespan=asyncdsm.lifespan) if how == "lifespan" else FastAPI()
    if how == "middleware":
        app = DataStreamsMiddleware(app)
    if how == "instrument":
        asyncdsm.instrument("starlette")
    try:
        for _ in range(2):
            async with run_lifespan_of(app):
                (answer, *_) = await request(app, {HEADER: CONTEXT})
                assert answer["status"] == 404
                assert running_streams() is None
    finally:
        asyncdsm.uninstrument("starlette")
    (said,) = [record for record in caplog.records if record.name == "asyncdsm"]
    assert said.levelname == "ERROR"
    assert "DD_TRACE_AGENT_PORT must be a port from 1 to 65535, got 'http'" in said.getMessage()


async def test_server_without_lifespan_is_measured_from_the_first_request(intake: Intake) -> None:
    await request(DataStreamsMiddleware(Handler()), {HEADER: CONTEXT})
    streams = running_streams()
    assert streams is not None
    await streams.aclose()
    assert intake.counted() == 2


async def test_disabled_middleware_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DD_DATA_STREAMS_ENABLED", "false")
    handler = Handler()
    app = DataStreamsMiddleware(handler)
    await request(app, {HEADER: CONTEXT})
    assert running_streams() is None
    assert handler.pathways == [None]
    async with run_lifespan_of(DataStreamsMiddleware(Starlette())):
        assert running_streams() is None


@litestar.get("/")
async def handle() -> None:
    by_hand.produce(OUT)


LITESTARS: dict[str, Callable[[], Any]] = {
    "within": lambda: litestar.Litestar(
        [handle], middleware=[DataStreamsMiddleware], lifespan=[asyncdsm.lifespan], logging_config=None
    ),
    "around": lambda: DataStreamsMiddleware(litestar.Litestar([handle], logging_config=None)),
}


@pytest.mark.parametrize("how", LITESTARS)
async def test_litestar_app_is_measured(how: str, intake: Intake) -> None:
    app = LITESTARS[how]()
    async with run_lifespan_of(app):
        (answer, *_) = await request(app, {HEADER: CONTEXT})
        assert answer["status"] == 200
    assert intake.counted() == 2


@pytest.mark.parametrize("has_lifespan", [True, False])
@pytest.mark.parametrize("how", ["middleware", "lifespan", "instrument"])
async def test_startup_and_requests_do_not_block_the_event_loop(
    how: str, has_lifespan: bool, intake: Intake, blockbuster: BlockBuster, caplog: pytest.LogCaptureFixture
) -> None:
    for function in blockbuster.functions.values():  # other tests may read their settings in the event loop
        allowed = function.can_block_functions
        allowed[:] = [where for where in allowed if where[0] != "asyncdsm/settings.py"]
    app: Any = FastAPI(lifespan=asyncdsm.lifespan) if how == "lifespan" else FastAPI()
    if how == "middleware":
        app = DataStreamsMiddleware(app)
    if how == "instrument":
        asyncdsm.instrument("starlette")
    try:
        async with run_lifespan_of(app) if has_lifespan else nullcontext():
            await request(app, {HEADER: CONTEXT})
            by_hand.produce(OUT)
    finally:
        asyncdsm.uninstrument("starlette")
    assert caplog.records == []
