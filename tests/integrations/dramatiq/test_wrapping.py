"""Brokers that are wrapped, instrumented, or given the middleware: each message counts once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from asyncdsm_dramatiq import DataStreamsMiddleware
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker

import asyncdsm
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.integrations.dramatiq.conftest import run_worker


def with_middleware(*middlewares: Any) -> Any:
    broker = StubBroker()
    for middleware in middlewares:
        broker.add_middleware(middleware)
    return broker


WAYS: dict[str, Callable[[], Any]] = {
    "wrapped": lambda: asyncdsm.wrap(StubBroker()),
    "wrapped twice": lambda: asyncdsm.wrap(asyncdsm.wrap(StubBroker())),
    "middleware": lambda: with_middleware(DataStreamsMiddleware()),
    "middleware, wrapped": lambda: asyncdsm.wrap(with_middleware(DataStreamsMiddleware())),
    "middleware twice": lambda: with_middleware(DataStreamsMiddleware(), DataStreamsMiddleware()),
    "only middleware": lambda: StubBroker(middleware=[DataStreamsMiddleware()]),
    "no other middleware": lambda: asyncdsm.wrap(StubBroker(middleware=[])),
}


def run_once(broker: Any, captured: Captured) -> tuple[int, int]:
    captured.clear()

    @dramatiq.actor(broker=broker)
    def work() -> None: ...

    with run_worker(broker):
        work.send()
        broker.join("default")
    return len(captured.produced()), len(captured.consumed())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_instrumented", [False, True])
def test_message_counts_once(way: str, is_instrumented: bool, captured_streams: Captured) -> None:
    if is_instrumented:
        asyncdsm.instrument("dramatiq")
    try:
        assert run_once(WAYS[way](), captured_streams) == (1, 1)
    finally:
        asyncdsm.uninstrument("dramatiq")
    assert captured_streams.stats().errors == 0


def test_broker_is_followed_only_while_instrumented(captured_streams: Captured) -> None:
    asyncdsm.instrument("dramatiq")
    asyncdsm.instrument("dramatiq")
    try:
        assert run_once(StubBroker(), captured_streams) == (1, 1)
    finally:
        asyncdsm.uninstrument("dramatiq")
    assert run_once(StubBroker(), captured_streams) == (0, 0)


def test_global_broker_that_exists_is_instrumented(monkeypatch: pytest.MonkeyPatch, captured_streams: Captured) -> None:
    monkeypatch.setattr(dramatiq.broker, "global_broker", StubBroker())
    asyncdsm.instrument("dramatiq")
    asyncdsm.uninstrument("dramatiq")
    assert run_once(dramatiq.get_broker(), captured_streams) == (1, 1)


def test_middleware_is_before_all_others() -> None:
    others = [type(middleware) for middleware in StubBroker().middleware]
    assert [type(each) for each in asyncdsm.wrap(StubBroker()).middleware] == [DataStreamsMiddleware, *others]


def test_actors_that_were_declared_before_are_followed(captured_streams: Captured) -> None:
    broker = StubBroker()

    @dramatiq.actor(broker=broker)
    def work() -> None: ...

    broker.add_middleware(DataStreamsMiddleware())
    work.send()
    assert HEADER in dramatiq.Message.decode(broker.queues["default"].queue[0]).options


def test_first_message_of_a_broker_without_actors_is_counted(redis: str, captured_streams: Captured) -> None:
    broker: Any = RedisBroker(url=redis, middleware=[DataStreamsMiddleware()])
    for _ in range(2):
        broker.enqueue(dramatiq.Message("elsewhere", "work", (), {}, {}))
    broker.client.connection_pool.disconnect()
    assert len(captured_streams.produced("elsewhere")) == 2
    assert captured_streams.stats().not_propagated == 1


def test_subclass_with_an_enqueue_of_its_own_is_followed_once(captured_streams: Captured) -> None:
    class Own(StubBroker):
        def enqueue(self, message: Any, *, delay: int | None = None) -> Any:
            return super().enqueue(message.copy(options={"own": 1}), delay=delay)

    assert run_once(asyncdsm.wrap(Own()), captured_streams) == (1, 1)


def test_wrap_names_what_it_takes() -> None:
    with pytest.raises(asyncdsm.UnknownClientError, match="of dramatiq it takes a broker"):
        asyncdsm.wrap(StubBroker)
