"""Actors that fail, errors in hooks, and asyncdsm switched off: the program continues as without asyncdsm."""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from unittest.mock import patch

import dramatiq
import pytest
from asyncdsm_dramatiq import DataStreamsMiddleware
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import AsyncIO, TimeLimitExceeded, raise_thread_exception

import asyncdsm
from asyncdsm import DataStreams, Settings
from asyncdsm._internal import log
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.intake import running_intake
from tests.integrations.dramatiq.conftest import Working, run_worker


def test_failed_message_is_the_dead_letter_that_it_was(stub: Any, working: Working) -> None:
    @dramatiq.actor(broker=stub, max_retries=0)
    def fail() -> None:
        raise ZeroDivisionError("mine")

    with working(stub):
        message = fail.send()
        with pytest.raises(ZeroDivisionError, match="mine"):
            stub.join("default")
    (dead,) = stub.dead_letters
    assert dead.message_id == message.message_id
    assert HEADER not in dead.options


def test_interrupted_actor_leaves_nothing_current(stub: Any, working: Working, captured_streams: Captured) -> None:
    stub.add_middleware(AsyncIO())
    running, seen = threading.Event(), list[Any]()

    @dramatiq.actor(broker=stub, max_retries=0)
    async def hang() -> None:
        running.set()
        await asyncio.sleep(30)

    @dramatiq.actor(broker=stub, queue_name="next")
    def work() -> None:
        seen.append(asyncdsm.current_pathway())

    with working(stub, threads=1) as worker:
        hang.send()
        assert running.wait(30)
        raise_thread_exception(worker.workers[0].ident, TimeLimitExceeded)  # as the middleware TimeLimit does
        with pytest.raises(TimeLimitExceeded):
            stub.join("default")
        work.send()
        stub.join("next")
    (taken,) = captured_streams.consumed("next")
    assert [pathway.hash for pathway in seen] == [taken.hash]


@pytest.mark.parametrize(
    "part",
    [
        "asyncdsm_dramatiq.produce.begin_produce",
        "asyncdsm_dramatiq.consume.consume",
        "asyncdsm_dramatiq.consume.set_current",
        "asyncdsm_dramatiq.consume.open_layer",
    ],
)
def test_errors_of_asyncdsm_reach_no_program(part: str) -> None:
    done, stub = list[int](), asyncdsm.wrap(StubBroker())

    @dramatiq.actor(broker=stub)
    def work(number: int) -> None:
        done.append(number)

    with running_intake() as intake, DataStreams(Settings(service="s", agent_url=intake.url)) as streams:
        with patch(part, side_effect=ZeroDivisionError), run_worker(stub):
            for number in range(3):
                work.send(number)
            stub.join("default")
        assert sorted(done) == [0, 1, 2]
        assert streams.stats.errors >= 1


def test_switched_off_no_message_has_a_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DD_DATA_STREAMS_ENABLED", "false")
    broker = asyncdsm.wrap(StubBroker())
    seen = list[Any]()

    @dramatiq.actor(broker=broker)
    def work() -> None:
        seen.append(asyncdsm.current_pathway())

    work.send()
    assert HEADER not in dramatiq.Message.decode(broker.queues["default"].queue[0]).options
    with run_worker(broker):
        broker.join("default")
    assert seen == [None]


def test_wrong_setting_is_logged_and_the_worker_runs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DD_AGENT_HOST", "http://agent:8126")
    monkeypatch.delenv("DD_TRACE_AGENT_URL", raising=False)
    log.forget_warnings()
    broker, done = StubBroker(), list[int]()
    broker.add_middleware(DataStreamsMiddleware())

    @dramatiq.actor(broker=broker)
    def work() -> None:
        done.append(1)

    with run_worker(broker):
        work.send()
        broker.join("default")
    assert done == [1]
    (said,) = [record for record in caplog.records if record.name == "asyncdsm"]
    assert said.levelname == "ERROR"
    assert "DD_AGENT_HOST must be a host name or an IP address" in said.getMessage()


def test_arguments_of_a_later_release_reach_the_broker(captured_streams: Captured) -> None:
    class Later(StubBroker):
        def enqueue(self, message: Any, *, delay: int | None = None, **more: Any) -> Any:
            return more

    broker = asyncdsm.wrap(Later())
    assert broker.enqueue(dramatiq.Message("q", "work", (), {}, {}), expires=5) == {"expires": 5}
    assert len(captured_streams.produced()) == 1
