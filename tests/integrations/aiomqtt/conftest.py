"""Clients of one MQTT broker, which runs once for all tests of a process."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from string import ascii_lowercase

import pytest
from aiomqtt import Client

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.mosquitto import Mosquitto
from tests.integrations.aiomqtt.clients import make_client


@pytest.fixture
def name() -> Callable[[], str]:
    """Return a fresh name at each call. It has no digits, which could look like an id."""
    return lambda: "".join(random.choices(ascii_lowercase, k=12))


@pytest.fixture
async def bare(mosquitto: Mosquitto) -> AsyncIterator[Client]:
    """A client that is not followed: it shows what is really on the wire."""
    async with make_client(mosquitto) as client:
        yield client


@pytest.fixture
async def client(mosquitto: Mosquitto, captured_streams: Captured) -> AsyncIterator[Client]:
    """A client that is wrapped."""
    async with asyncdsm.wrap(make_client(mosquitto)) as client:
        yield client
