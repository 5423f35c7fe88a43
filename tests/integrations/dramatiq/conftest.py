"""Brokers that are wrapped, and workers in this process. The tests of a file share the servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import dramatiq
import pytest
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.rabbitmq import RabbitMQ

KINDS = ["stub", "redis", "rabbitmq"]


class Working(Protocol):
    """Runs a worker of a broker for as long as the block lasts: `with working(broker):`."""

    def __call__(self, broker: Any, threads: int = 4) -> Any: ...


@contextmanager
def run_worker(broker: Any, threads: int = 4) -> Iterator[dramatiq.Worker]:
    """Run a worker of a broker in this process."""
    worker = dramatiq.Worker(broker, worker_timeout=100, worker_threads=threads)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


@pytest.fixture
def working() -> Working:
    """Run a worker."""
    return run_worker


@pytest.fixture
def make_broker(request: pytest.FixtureRequest, captured_streams: Captured) -> Iterator[Callable[[str], Any]]:
    """Make a broker of a kind; all of them are closed at the end."""
    opened = ExitStack()

    def make(kind: str) -> Any:
        broker: Any
        if kind == "stub":
            broker = StubBroker()
        elif kind == "redis":
            broker = RedisBroker(url=request.getfixturevalue("redis"))
            opened.callback(broker.client.connection_pool.disconnect)
        else:
            rabbitmq: RabbitMQ = request.getfixturevalue("rabbitmq")
            broker = RabbitmqBroker(url=rabbitmq.url)
        opened.callback(broker.close)
        return broker

    with opened:
        yield make


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest, make_broker: Callable[[str], Any]) -> Any:
    """A wrapped broker of each kind."""
    return asyncdsm.wrap(make_broker(request.param))


@pytest.fixture
def stub(make_broker: Callable[[str], Any]) -> Any:
    """A wrapped broker in memory."""
    return asyncdsm.wrap(make_broker("stub"))
