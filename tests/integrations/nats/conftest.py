"""NATS servers and connections. Each kind of server runs once for all tests of a process."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from string import ascii_lowercase

import nats
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.nats import DEBIANS, NEWEST, NatsServer, nats_server


@pytest.fixture(scope="session")
def server(nats: NatsServer) -> NatsServer:
    """The newest server. Another name: the package of the client is called `nats`."""
    return nats


@pytest.fixture(scope="session", params=[NEWEST, DEBIANS], ids=["newest", "Debian's"])
def any_server(request: pytest.FixtureRequest, server: NatsServer) -> Iterator[NatsServer]:
    """The newest server, and the one of Debian."""
    if request.param == NEWEST:
        yield server
    else:
        assert Path(DEBIANS).exists(), "apt-get install -y --no-install-recommends nats-server"
        with nats_server(DEBIANS) as older:
            yield older


@pytest.fixture
def name() -> Callable[[], str]:
    """Return a fresh name at each call. It has no digits, which could look like an id."""
    return lambda: "".join(random.choices(ascii_lowercase, k=12))


@pytest.fixture
async def bare(server: NatsServer) -> AsyncIterator[Client]:
    """A connection that is not followed: it shows what is really on the wire."""
    client = await nats.connect(server.url)
    yield client
    await client.close()


@pytest.fixture
async def client(server: NatsServer, captured_streams: Captured) -> AsyncIterator[Client]:
    """A connection that is wrapped."""
    client = asyncdsm.wrap(await nats.connect(server.url))
    yield client
    await client.close()


@pytest.fixture
def js(client: Client) -> JetStreamContext:
    """A JetStream context of the wrapped connection."""
    return client.jetstream()
