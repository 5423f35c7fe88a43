"""Brokers and connections of Kombu."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kombu.connection import Connection

import asyncdsm
from asyncdsm.core import current
from tests.integrations.kombu import clients as kombu_clients


@pytest.fixture(params=["memory", "redis", "rabbitmq"])
def kombu_broker(request: pytest.FixtureRequest) -> kombu_clients.Broker:
    """Each broker that Kombu is tested with, one after the other."""
    if request.param == "memory":
        return kombu_clients.Broker("memory://", "memory")
    broker = request.getfixturevalue(request.param)
    return kombu_clients.Broker(broker if isinstance(broker, str) else broker.url, request.param)


@pytest.fixture
def instrumented_kombu() -> Iterator[None]:
    """Follow every connection."""
    asyncdsm.instrument("kombu")
    yield
    asyncdsm.uninstrument("kombu")
    current.set_current(None)  # the message that the test got last


@pytest.fixture
def memory() -> Iterator[Connection]:
    with Connection("memory://") as connection:
        yield connection
