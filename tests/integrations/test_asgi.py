"""The middleware around apps: what a request consumes, what it hands on, and the lifespan."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import litestar
import pytest
from asyncdsm_asgi import DataStreamsMiddleware
from asyncdsm_asgi.body import LARGEST_BODY
from fastapi import FastAPI
from starlette.applications import Starlette

import asyncdsm
from asyncdsm import DataStreams, Pathway, Settings, checkpoint
from asyncdsm.edge import Edge
from asyncdsm.exporters.memory import MemoryExporter
from asyncdsm.pathway import HEADER
from asyncdsm.streams import running_streams
from asyncdsm.testing import Captured
from tests.intake import Intake, running_intake

OUT = Edge("direction:out", "topic:orders", "type:kafka")
CAME = Pathway(77, 1_700_000_000_000_000_000, 1_700_000_000_500_000_000)
CONTEXT = CAME.encode_base64()
SECOND = 1_000_000_000

Messages = list[dict[str, Any]]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


class Handler:
    """An app that reads its body, produces once, and remembers."""

    def __init__(self) -> None:
        self.got: Messages = []
        self.pathways: list[Pathway | None] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http", "not a word of any lifespan"
        self.pathways.append(asyncdsm.current_pathway())
        while True:
            self.got.append(await receive())
            if not self.got[-1].get("more_body"):
                break
        checkpoint.produce(OUT)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


async def request(app: Any, headers: dict[str, str] | None = None, *bodies: bytes, ends: bool = True) -> Messages:
    """Send one request, its body in these parts; return what was answered."""
    parts = bodies or (b"",)
    incoming: Messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if ends:
        incoming[-1]["more_body"] = False
    incoming.append({"type": "http.disconnect"})
    answered: Messages = []

    async def receive() -> dict[str, Any]:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        answered.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": raw}
    await app(scope, receive, send)
    return answered


async def test_each_request_starts_clean_and_leaves_its_caller_alone(captured_streams: Captured) -> None:
    handler = Handler()
    app = DataStreamsMiddleware(handler)
    checkpoint.set_current(CAME)
    await request(app, {"content-type": "application/json", "user-agent": "curl/8"})
    assert asyncdsm.current_pathway() == CAME
    assert handler.pathways == [None]
    (made,) = captured_streams.checkpoints
    assert (made.tag("direction"), made.parent) == ("out", 0)


async def test_websockets_start_clean_too(captured_streams: Captured) -> None:
    seen = list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(asyncdsm.current_pathway())

    checkpoint.set_current(CAME)
    await DataStreamsMiddleware(app)({"type": "websocket", "headers": [(HEADER.encode(), b"x")]}, None, None)  # type: ignore[arg-type]
    assert seen == [None]
    assert captured_streams.checkpoints == []


def sns(**more: Any) -> bytes:
    value = b64encode(json.dumps({HEADER: CONTEXT}).encode()).decode()
    notification = {
        "Type": "Notification",
        "TopicArn": "arn:aws:sns:eu-west-1:1:orders",
        "Message": "{}",
        "Timestamp": "2026-01-02T03:04:05.678Z",
        "MessageAttributes": {"_datadog": {"Type": "Binary", "Value": value}},
    }
    return json.dumps({**notification, **more}).encode()


SNS = {"x-amz-sns-message-type": "Notification", "x-amz-sns-topic-arn": "arn:aws:sns:eu-west-1:1:orders"}
GOOGLE = {"user-agent": "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)"}
BRIDGE = {"user-agent": "Amazon/EventBridge/ApiDestinations"}
EVENT = {"specversion": "1.0", "type": "order.made", "source": "/shop", "id": "1"}
PUBSUB = {
    "message": {"attributes": {HEADER: CONTEXT}, "data": "eA==", "publishTime": "2026-01-02T03:04:05.123456789Z"},
    "subscription": "projects/p/subscriptions/s",
}
BRIDGED = {
    "detail-type": "OrderMade",
    "time": "2026-01-02T03:04:05Z",
    "detail": {"_datadog": {HEADER: CONTEXT}, "number": 1},
}
STRUCTURED = {"content-type": "application/cloudevents+json; charset=UTF-8"}
BINARY = {"ce-specversion": "1.0", "ce-type": "order.made", "ce-time": "2026-01-02T03:04:05Z"}
ARN = "topic:arn:aws:sns:eu-west-1:1:orders"

PUSHED: dict[str, tuple[dict[str, str], bytes, set[str]]] = {
    "a header": ({HEADER: CONTEXT}, b"x", {"type:http"}),
    "SNS": (SNS, sns(), {"type:sns", ARN}),
    "SNS, from an older tracer": (
        SNS,
        sns(MessageAttributes={"_datadog": {"Type": "String", "Value": json.dumps({HEADER: CONTEXT})}}),
        {"type:sns", ARN},
    ),
    "Pub/Sub": (GOOGLE, json.dumps(PUBSUB).encode(), {"type:google-pubsub", "topic:projects/p/subscriptions/s"}),
    "Pub/Sub, unwrapped": (
        {**GOOGLE, "x-goog-pubsub-subscription-name": "projects/p/subscriptions/s", HEADER: CONTEXT},
        b"x",
        {"type:google-pubsub", "topic:projects/p/subscriptions/s"},
    ),
    "EventBridge": (BRIDGE, json.dumps(BRIDGED).encode(), {"type:eventbridge", "topic:OrderMade"}),
    "a CloudEvent, binary": (
        {**BINARY, "ce-ddpathwayctxbase64": CONTEXT},
        b"x",
        {"type:cloudevents", "topic:order.made"},
    ),
    "a CloudEvent, binary, with a header": (
        {**BINARY, HEADER: CONTEXT},
        b"x",
        {"type:cloudevents", "topic:order.made"},
    ),
    "a CloudEvent of Knative's": (
        {**BINARY, "ce-kafkaheaderddpathwayctxbase64": CONTEXT},
        b"x",
        {"type:cloudevents", "topic:order.made"},
    ),
    "a CloudEvent of newer Knative's": (
        {**BINARY, "ce-kafkaheaderdd-pathway-ctx-base64": CONTEXT},
        b"x",
        {"type:cloudevents", "topic:order.made"},
    ),
    "a CloudEvent, structured": (
        STRUCTURED,
        json.dumps({**EVENT, "ddpathwayctxbase64": CONTEXT}).encode(),
        {"type:cloudevents", "topic:order.made"},
    ),
    "a CloudEvent of Eventarc's": (
        {**GOOGLE, **BINARY},
        json.dumps(PUBSUB).encode(),
        {"type:google-pubsub", "topic:projects/p/subscriptions/s"},
    ),
}


@pytest.mark.parametrize("case", PUSHED)
async def test_what_is_pushed_is_consumed(case: str, captured_streams: Captured) -> None:
    headers, body, tags = PUSHED[case]
    handler = Handler()
    parts = [body[:5], b"", body[5:]]
    await request(DataStreamsMiddleware(handler), headers, *parts)
    consumed, produced = captured_streams.checkpoints
    assert set(consumed.tags) == {"direction:in", *tags}
    assert consumed.parent == CAME.hash
    assert produced.follows(consumed)
    assert [message["body"] for message in handler.got] == parts


@pytest.mark.parametrize(
    ("headers", "body", "age"),
    [
        (SNS, sns(MessageAttributes={}), 10),
        (GOOGLE, json.dumps({**PUBSUB, "message": {"publishTime": "2026-01-02T03:04:05.678Z"}}).encode(), 10),
        ({**BINARY, "ce-time": "2026-01-02T03:04:05.678Z"}, b"", 10),
        (BINARY | {"ce-time": "yesterday"}, b"", 0),
        (SNS, sns(MessageAttributes=None), 10),
        (SNS, b"\xff", 0),
        (SNS | {"x-amz-sns-rawdelivery": "true"}, sns(), 0),
    ],
)
async def test_without_a_context_it_begins_when_it_was_published(
    headers: dict[str, str], body: bytes, age: float, manual_clock: Any, captured_streams: Captured
) -> None:
    manual_clock.now_ns = 1_767_323_045_678_000_000 + 10 * SECOND
    await request(DataStreamsMiddleware(Handler()), headers, body)
    consumed, _ = captured_streams.checkpoints
    assert consumed.parent == 0
    assert consumed.pathway_latency == pytest.approx(age)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (GOOGLE, b"<html>"),
        (BRIDGE, b"[1]"),
        (STRUCTURED, b"{"),
        (STRUCTURED, b""),
        ({"content-type": "application/json"}, json.dumps(PUBSUB).encode()),
        ({"x-amz-sns-message-type": "SubscriptionConfirmation"}, sns()),
        (SNS | {"user-agent": "curl"} | {"x-amz-sns-message-type": "UnsubscribeConfirmation"}, sns()),
    ],
)
async def test_what_only_looks_like_it_is_not(headers: dict[str, str], body: bytes, captured_streams: Captured) -> None:
    handler = Handler()
    await request(DataStreamsMiddleware(handler), headers, body)
    (produced,) = captured_streams.checkpoints
    assert produced.parent == 0
    assert [message["body"] for message in handler.got] == [body]


async def test_of_a_batch_every_event_counts_and_none_is_current(captured_streams: Captured) -> None:
    events = [{**EVENT, "ddpathwayctxbase64": CONTEXT}, EVENT, {**EVENT, "type": 5}]
    headers = {"content-type": "application/cloudevents-batch+json"}
    await request(DataStreamsMiddleware(Handler()), headers, json.dumps(events).encode())
    *consumed, produced = captured_streams.checkpoints
    assert [made.parent for made in consumed] == [CAME.hash, 0, 0]
    assert produced.parent == 0


@pytest.mark.parametrize("announced", [{}, {"content-length": str(LARGEST_BODY + 1)}])
async def test_a_long_body_is_handed_on_and_not_looked_into(
    announced: dict[str, str], captured_streams: Captured
) -> None:
    handler, parts = Handler(), [b"x" * (LARGEST_BODY // 2)] * 5
    await request(DataStreamsMiddleware(handler), {**SNS, **announced}, *parts)
    assert [message["body"] for message in handler.got] == parts
    assert captured_streams.consumed()[0].parent == 0


async def test_a_client_that_hangs_up_in_the_middle(captured_streams: Captured) -> None:
    handler = Handler()
    await request(DataStreamsMiddleware(handler), SNS, b"{", ends=False)
    assert [message["type"] for message in handler.got] == ["http.request", "http.disconnect"]


async def test_a_public_app_takes_no_request_for_a_message(captured_streams: Captured) -> None:
    await request(DataStreamsMiddleware(Handler(), pushed=False), {HEADER: CONTEXT})
    assert captured_streams.consumed() == []


async def test_names_from_requests_are_cut_off(captured_streams: Captured) -> None:
    await request(DataStreamsMiddleware(Handler()), {**BINARY, "ce-type": "x" * 10_000})
    assert captured_streams.consumed()[0].topic == "x" * 256


async def test_one_around_the_other_counts_once(captured_streams: Captured) -> None:
    await request(DataStreamsMiddleware(DataStreamsMiddleware(Handler())), {HEADER: CONTEXT})
    assert len(captured_streams.consumed()) == 1


async def test_while_nothing_runs_nothing_is_read() -> None:
    handler = Handler()
    app = DataStreamsMiddleware(handler)
    app._lives = True  # pyright: ignore[reportPrivateUsage]
    await request(app, SNS, sns())
    assert handler.pathways == [None]


# The lifespan.


class Server:
    """The server's side of the lifespan protocol."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.delivered: list[int] = []
        self._asks, self._asked = anyio.create_memory_object_stream[dict[str, Any]](2)
        self._tells, self._told = anyio.create_memory_object_stream[dict[str, Any]](2)

    async def send(self, message: dict[str, Any]) -> None:
        await self._tells.send(message)

    async def ask(self, what: str) -> str:
        await self._asks.send({"type": f"lifespan.{what}"})
        with anyio.fail_after(5):
            return str((await self._told.receive())["type"])


@asynccontextmanager
async def living(app: Any) -> AsyncIterator[Server]:
    server = Server()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app, {"type": "lifespan", "state": {}}, server._asked.receive, server.send)
            assert await server.ask("startup") == "lifespan.startup.complete"
            yield server
            assert await server.ask("shutdown") == "lifespan.shutdown.complete"
    finally:
        for stream in (server._asks, server._asked, server._tells, server._told):
            stream.close()


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> Any:
    with running_intake() as intake:
        monkeypatch.setenv("DD_TRACE_AGENT_URL", intake.url)
        yield intake


async def returns(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await Handler()(scope, receive, send)


async def returns_after_asking(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
    else:
        await Handler()(scope, receive, send)


APPS: dict[str, Callable[[], Any]] = {
    "that raises": Handler,
    "that returns": lambda: returns,
    "that asks and returns": lambda: returns_after_asking,
    "Starlette": Starlette,
    "FastAPI": FastAPI,
}


@pytest.mark.parametrize("kind", APPS)
async def test_it_measures_from_startup_to_shutdown(kind: str, intake: Intake) -> None:
    app = DataStreamsMiddleware(APPS[kind]())
    async with living(app):
        await request(app, {HEADER: CONTEXT})
        checkpoint.produce(OUT)
        assert intake.counted() == 0
    assert intake.counted() >= 2
    assert running_streams() is None


async def test_it_delivers_before_it_says_that_all_is_over(intake: Intake) -> None:
    counted = dict[str, int]()
    asked = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]

    async def receive() -> Any:
        checkpoint.produce(OUT)
        return asked.pop()

    async def send(message: Any) -> None:
        counted[message["type"]] = intake.counted()

    await DataStreamsMiddleware(Starlette())({"type": "lifespan", "app": None}, receive, send)
    assert counted == {"lifespan.startup.complete": 0, "lifespan.shutdown.complete": 2}


async def test_an_own_lifespan_with_its_own_data_streams_goes_first(intake: Intake) -> None:
    own = DataStreams(Settings(service="own"), exporter=MemoryExporter())

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[dict[str, int]]:
        async with own, asyncdsm.lifespan():
            yield {"x": 1}

    app = DataStreamsMiddleware(FastAPI(lifespan=lifespan))
    async with living(app):
        checkpoint.produce(OUT)
        assert running_streams() is own
    assert (own.stats.delivered, intake.counted()) == (1, 0)


async def test_one_that_runs_already_goes_on(intake: Intake) -> None:
    async with DataStreams(Settings(service="own"), exporter=MemoryExporter()) as own:
        async with living(DataStreamsMiddleware(Starlette())):
            checkpoint.produce(OUT)
        assert own.stats.delivered == 1
        checkpoint.produce(OUT)
    assert (own.stats.delivered, intake.counted()) == (2, 0)


async def test_lifespan_alone_and_around(intake: Intake) -> None:
    async with living(FastAPI(lifespan=asyncdsm.lifespan)):
        checkpoint.produce(OUT)
    assert intake.counted() == 1


async def test_an_app_that_fails_to_start_fails_as_before(intake: Intake) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise ZeroDivisionError

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    with pytest.raises(ZeroDivisionError):
        await DataStreamsMiddleware(app)({"type": "lifespan"}, receive, send)
    assert running_streams() is None


async def test_a_wrong_setting_is_said_at_startup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DD_TRACE_AGENT_PORT", "http")
    said: Messages = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        said.append(message)

    await DataStreamsMiddleware(Starlette())({"type": "lifespan"}, receive, send)
    (failed,) = said
    assert failed["type"] == "lifespan.startup.failed"
    assert "DD_TRACE_AGENT_PORT is 'http'" in failed["message"]


async def test_a_server_that_tells_of_no_lifespan(intake: Intake) -> None:
    await request(DataStreamsMiddleware(Handler()), {HEADER: CONTEXT})
    streams = running_streams()
    assert streams is not None
    await streams.aclose()
    assert intake.counted() == 2


async def test_disabled_it_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DD_DATA_STREAMS_ENABLED", "false")
    handler = Handler()
    app = DataStreamsMiddleware(handler)
    async with living(app):
        await request(app, SNS, sns())
        assert running_streams() is None
    assert handler.pathways == [None]


@litestar.get("/")
async def handle() -> None:
    checkpoint.produce(OUT)


LITESTARS: dict[str, Callable[[], Any]] = {
    "within": lambda: litestar.Litestar(
        [handle], middleware=[DataStreamsMiddleware], lifespan=[asyncdsm.lifespan], logging_config=None
    ),
    "around": lambda: DataStreamsMiddleware(litestar.Litestar([handle], logging_config=None)),
}


@pytest.mark.parametrize("how", LITESTARS)
async def test_litestar(how: str, intake: Intake) -> None:
    app = LITESTARS[how]()
    async with living(app):
        (answer, *_) = await request(app, {HEADER: CONTEXT})
        assert answer["status"] == 200
    assert intake.counted() == 2


# Without a line of the app's.


@pytest.mark.parametrize("kind", [Starlette, FastAPI])
async def test_instrumented(kind: Any, captured_streams: Captured) -> None:
    app = kind()
    original = Starlette.__call__
    asyncdsm.instrument("starlette")
    asyncdsm.instrument("starlette")
    try:
        async with living(app):
            await request(app, {HEADER: CONTEXT})
        assert len(captured_streams.consumed()) == 1
    finally:
        asyncdsm.uninstrument("starlette")
    assert Starlette.__call__ is original


@pytest.mark.parametrize("started", [False, True])
async def test_wrapped(started: bool, captured_streams: Captured) -> None:
    app = FastAPI()
    if started:
        await request(app, {HEADER: CONTEXT})
    assert asyncdsm.wrap(app) is app
    await request(app, {HEADER: CONTEXT})
    assert len(captured_streams.consumed()) == 1
