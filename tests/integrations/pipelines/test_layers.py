"""Two followed libraries, one standing on the other: each message is counted once, with the right parent."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from asyncdsm_asgi import DataStreamsMiddleware
from fastapi import FastAPI
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from starlette.applications import Starlette

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.aws import Aws
from tests.brokers.pubsub import PubSubServer
from tests.integrations.asgi.apps import CAME, CONTEXT, Handler, request
from tests.integrations.kombu.clients import drain, tidy
from tests.integrations.pipelines.layers import transports
from tests.integrations.pipelines.layers.log import COUNT, SENDER, Follow, name
from tests.integrations.pipelines.layers.rows import ROWS, Row

ROOT = Path(__file__).parents[3]
PAIRS = [pytest.param(row, way, id=f"{row.program.__name__}-{way}") for row in ROWS for way in row.ways]


@pytest.fixture
def follow(row: Row, way: str) -> Iterator[Follow]:
    """Follow both libraries in one of the ways; afterwards none."""
    ways: dict[str, list[str | None]] = {
        "wrap": [],
        "wrap, on an instrumented one": [row.lower],
        "instrument from above": [row.upper, row.lower],
        "instrument from below": [row.lower, row.upper],
        "instrument all": [None],
    }
    for package in ways[way]:
        if package is not None or way == "instrument all":
            asyncdsm.instrument(package)
    yield asyncdsm.wrap if way.startswith("wrap") else lambda client: client
    asyncdsm.uninstrument()
    tidy()


@pytest.fixture(autouse=True)
def blockbuster() -> None:
    """The clients read files as they start."""


@pytest.mark.filterwarnings("ignore:.* is deprecated; use:DeprecationWarning")  # PycURL, of what Kombu calls
@pytest.mark.parametrize(("row", "way"), PAIRS)
def test_layers_count_each_message_once(
    row: Row, follow: Follow, captured_streams: Captured, request: pytest.FixtureRequest
) -> None:
    broker = request.getfixturevalue(row.fixture) if row.fixture else None
    seen: Any = row.program(broker, follow)
    if inspect.iscoroutine(seen):
        seen = asyncio.run(seen)
    made = captured_streams.checkpoints
    sent, received = captured_streams.produced(), captured_streams.consumed()
    assert (len(sent), len(received)) == (COUNT, COUNT), made
    assert {point.parent for point in sent} == {SENDER.hash}
    (hash_sent,), (hash_received,) = {point.hash for point in sent}, {point.hash for point in received}
    assert {point.parent for point in received} == {hash_sent}
    assert [decoded(context) for _, context in seen] == [hash_sent] * COUNT
    assert [current and current.hash for current, _ in seen] == [hash_received] * COUNT
    assert current.snapshot() is None or current.snapshot() == seen[-1].current


def decoded(context: str) -> int | None:
    pathway = Pathway.decode_base64(context)
    return None if pathway is None else pathway.hash


@pytest.fixture
def everything_followed() -> Iterator[None]:
    asyncdsm.instrument()
    yield
    asyncdsm.uninstrument()
    tidy()


@pytest.mark.usefixtures("everything_followed")
def test_requeued_message_is_produced_once(pubsub: PubSubServer, captured_streams: Captured) -> None:
    """Kombu publishes it again on Google Pub/Sub, below what the program calls."""
    bodies = list[Any]()

    def take(body: Any, message: Any) -> None:
        bodies.append(body)
        if len(bodies) == 1:
            message.requeue()
        else:
            message.ack()

    with transports.pubsub(pubsub) as (url, options), Connection(url, transport_options=options) as connection:
        queue = Queue(name(), Exchange(name(), "direct"))
        connection.Producer().publish("body", exchange=queue.exchange, declare=[queue])
        with connection.Consumer([queue], callbacks=[take]):
            drain(connection, lambda: len(bodies) == 2)
    (sent,), received = captured_streams.produced(), captured_streams.consumed()
    assert [point.parent for point in received] == [sent.hash] * 2


GEVENT = """
from gevent import monkey; monkey.patch_all()
import json, sys
sys.path.insert(0, ".")
import asyncdsm
from asyncdsm.testing import capture
from tests.brokers.aws import Aws
from tests.integrations.pipelines.layers import celery

asyncdsm.instrument("kombu"), asyncdsm.instrument("botocore"), asyncdsm.instrument("celery")
with capture() as captured:
    celery.celery_on_sqs(Aws(sys.argv[1]), lambda app: app, pool="gevent")
    print(json.dumps([[point.tag("direction"), point.hash, point.parent] for point in captured.checkpoints]))
"""


def test_celery_with_gevent_on_sqs_counts_each_message_once(ministack: Aws) -> None:
    """In a process of its own: gevent patches all that there is. Its workers ask boto3, not Kombu's own client."""
    command = [sys.executable, "-W", "ignore", "-c", GEVENT, ministack.endpoint]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout.splitlines()[-1])
    (hash_sent,) = {hash_ for direction, hash_, parent in made if direction == "out" and parent == SENDER.hash}
    received = [parent for direction, _, parent in made if direction == "in"]
    assert received == [hash_sent] * COUNT
    assert len(made) == 2 * COUNT


class Twice(NamedTuple):
    """An app that has the middleware more than once."""

    name: str
    make: Callable[[Any], Any]


def in_fastapi(handler: Any) -> Any:
    inner, outer = Starlette(), FastAPI()
    inner.mount("/", handler)
    outer.mount("/", asyncdsm.wrap(inner))
    return asyncdsm.wrap(outer)


TWICE = [
    Twice("middleware in middleware", lambda handler: DataStreamsMiddleware(DataStreamsMiddleware(handler))),
    Twice("Starlette in FastAPI, both wrapped", in_fastapi),
]


@pytest.mark.parametrize("twice", TWICE, ids=lambda twice: twice.name)
def test_pushed_message_in_nested_apps_counts_once(twice: Twice, captured_streams: Captured) -> None:
    handler = Handler()
    asyncio.run(request(twice.make(handler), {HEADER: CONTEXT}, b"body"))
    received, sent = captured_streams.checkpoints
    assert received.parent == CAME.hash
    assert sent.follows(received)
    assert [pathway and pathway.hash for pathway in handler.pathways] == [received.hash]
