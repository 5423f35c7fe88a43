"""Servers and clients of Redis and Valkey. Each server runs once for all tests of a process."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator
from string import ascii_lowercase
from typing import Any

import pytest

import asyncdsm
from asyncdsm.core import current
from asyncdsm.testing import Captured
from tests.brokers.redis import find_valkey, redis_server
from tests.integrations.redis.clients import Package


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The address of the tests' Valkey."""
    with redis_server(find_valkey()) as server:
        yield server.url


@pytest.fixture(params=["redis", "valkey"])
def package(request: pytest.FixtureRequest) -> Package:
    """Each package, with its own server."""
    return Package(request.param, request.getfixturevalue(request.param))


@pytest.fixture
def name() -> Callable[[], str]:
    """Return a fresh name at each call. It has no digits, which could look like an id."""
    return lambda: "".join(random.choices(ascii_lowercase, k=12))


@pytest.fixture
async def bare(package: Package) -> AsyncIterator[Any]:
    """A client that is not followed: it shows what is really on the server."""
    client = package.connect()
    yield client
    await client.aclose()


@pytest.fixture
async def client(package: Package, captured_streams: Captured) -> AsyncIterator[Any]:
    """A client that is wrapped."""
    client = asyncdsm.wrap(package.connect_pooled())
    yield client
    await client.aclose(close_connection_pool=True)


@pytest.fixture
def blocking(package: Package, captured_streams: Captured) -> Iterator[Any]:
    """A client that is wrapped, and blocks."""
    client = asyncdsm.wrap(package.connect_blocking())
    yield client
    client.close()
    current.set_current(None)  # the entry that the test got last
