"""On real servers, an app starts, fails, answers and ends with the middleware as it does without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from asyncdsm_asgi import DataStreamsMiddleware
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from asyncdsm.streams import running_streams
from tests.intake import running_intake
from tests.integrations.asgi.servers import on_hypercorn, on_test_client, on_uvicorn

App = Callable[[Any, Any, Any], Any]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def blockbuster() -> None:
    """Let hypercorn write its log where it writes it."""


@pytest.fixture
def enabled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("DD_DATA_STREAMS_ENABLED", "maybe" if request.param == "wrong" else request.param)
    with running_intake() as intake:
        monkeypatch.setenv("DD_TRACE_AGENT_URL", intake.url)
        yield request.param
        if streams := running_streams():
            streams.close()


async def send_hello(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def app_of(live: App) -> App:
    """Return an app that answers requests, and has this lifespan."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (live(scope, receive, send) if scope["type"] == "lifespan" else send_hello(send))

    return app


async def send_event(send: Any, what: str, **more: Any) -> None:
    await send({"type": f"lifespan.{what}", **more})


async def raises_before_it_asks(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("cannot start")


async def raises_after_it_asked(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    raise RuntimeError("cannot start")


async def returns_early(scope: Any, receive: Any, send: Any) -> None:
    return None


async def returns_after_it_asked(scope: Any, receive: Any, send: Any) -> None:
    await receive()


async def says_that_it_failed(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send_event(send, "startup.failed", message="no database")


async def says_that_it_failed_and_raises(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send_event(send, "startup.failed", message="no database")
    raise RuntimeError("no database")


async def says_that_it_started_before_it_is_asked(scope: Any, receive: Any, send: Any) -> None:
    await send_event(send, "startup.complete")
    await receive()
    await receive()
    await send_event(send, "shutdown.complete")


async def starts_and_returns(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send_event(send, "startup.complete")


async def starts_and_raises(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send_event(send, "startup.complete")
    raise RuntimeError("the background task ended")


async def raises_at_shutdown(scope: Any, receive: Any, send: Any) -> None:
    await starts_and_returns(scope, receive, send)
    await receive()
    raise RuntimeError("cannot stop")


async def returns_at_shutdown(scope: Any, receive: Any, send: Any) -> None:
    await starts_and_returns(scope, receive, send)
    await receive()


async def says_that_its_shutdown_failed(scope: Any, receive: Any, send: Any) -> None:
    await starts_and_returns(scope, receive, send)
    await receive()
    await send_event(send, "shutdown.failed", message="it is stuck")


async def raises_after_shutdown(scope: Any, receive: Any, send: Any) -> None:
    await starts_and_returns(scope, receive, send)
    await receive()
    await send_event(send, "shutdown.complete")
    raise RuntimeError("too late")


async def says_what_is_no_message(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send_event(send, "nonsense")


async def says_nothing(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send(None)


async def lives_well(scope: Any, receive: Any, send: Any) -> None:
    await starts_and_returns(scope, receive, send)
    await receive()
    await send_event(send, "shutdown.complete")


async def keeps_state(scope: Any, receive: Any, send: Any) -> None:
    scope.get("state", {})["database"] = 1
    await lives_well(scope, receive, send)


async def hangs(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await anyio.sleep_forever()


class Broken:
    """A middleware that raises."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("cannot start")


async def hello(_: Any) -> PlainTextResponse:
    return PlainTextResponse("hello")


LIVES = [
    value for name, value in list(globals().items()) if name.split("_")[0] in {"raises", "returns", "says", "starts"}
]
LIVES += [lives_well, keeps_state]
APPS: dict[str, Callable[[], Any]] = {live.__name__: lambda live=live: app_of(live) for live in LIVES}  # type: ignore[misc]
APPS["Starlette"] = lambda: Starlette(routes=[Route("/", hello)])
APPS["Starlette with a broken middleware"] = lambda: Starlette(middleware=[Middleware(Broken)])


enabled_or_not = pytest.mark.parametrize(
    ("how", "enabled"),
    [(how, "true") for how in ("auto", "on", "off")] + [("on", "false"), ("auto", "wrong")],
    indirect=["enabled"],
)


@enabled_or_not
@pytest.mark.parametrize("app", APPS)
async def test_app_on_uvicorn_behaves_as_without_middleware(app: str, how: str, enabled: str) -> None:
    bare = await on_uvicorn(APPS[app](), how)
    assert await on_uvicorn(DataStreamsMiddleware(APPS[app]()), how) == bare


@pytest.mark.parametrize("enabled", ["true"], indirect=True)
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("app", APPS)
async def test_app_on_hypercorn_behaves_as_without_middleware(app: str, enabled: str, anyio_backend: str) -> None:
    bare = await on_hypercorn(APPS[app](), anyio_backend)
    assert await on_hypercorn(DataStreamsMiddleware(APPS[app]()), anyio_backend) == bare


# Without the middleware too, the test client waits forever for the next message of these.
HANGING = {"says_nothing", "says_that_it_failed"}


@pytest.mark.parametrize(
    ("backend", "enabled"),
    [("asyncio", "true"), ("trio", "true"), ("asyncio", "false"), ("asyncio", "wrong")],
    indirect=["enabled"],
)
@pytest.mark.parametrize("app", sorted(APPS.keys() - HANGING))
def test_app_on_the_test_client_behaves_as_without_middleware(app: str, backend: str, enabled: str) -> None:
    bare = on_test_client(APPS[app](), backend)
    assert on_test_client(DataStreamsMiddleware(APPS[app]()), backend) == bare


@pytest.mark.parametrize("enabled", ["true", "false"], indirect=True)
async def test_app_that_hangs_hangs_as_without_middleware(enabled: str) -> None:
    bare = await on_uvicorn(app_of(hangs), "auto")
    assert bare[:2] == ["hangs", "does not end"]
    assert await on_uvicorn(DataStreamsMiddleware(app_of(hangs)), "auto") == bare
