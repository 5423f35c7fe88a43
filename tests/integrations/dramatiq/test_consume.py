"""Processing messages: what the actor sees, which messages count, and when."""

from __future__ import annotations

import threading
from time import time
from typing import Any

import dramatiq
import pytest
from dramatiq.middleware import CurrentMessage, SkipMessage

import asyncdsm
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.integrations.dramatiq.conftest import Working


def test_actor_and_current_message_see_no_context(stub: Any, working: Working, captured_streams: Captured) -> None:
    if not any(isinstance(middleware, CurrentMessage) for middleware in stub.middleware):
        stub.add_middleware(CurrentMessage())
    seen = list[Any]()

    @dramatiq.actor(broker=stub)
    def work(*args: Any, **kwargs: Any) -> None:
        message = CurrentMessage.get_current_message()
        assert message is not None
        seen.append((args, kwargs, dict(message.options)))

    with working(stub):
        work.send_with_options(args=(1,), kwargs={"a": 2}, mine=3)
        stub.join("default")
    assert seen == [((1,), {"a": 2}, {"mine": 3})]
    assert len(captured_streams.consumed()) == 1


def test_actor_of_exhausted_retries_gets_a_message_without_context(
    stub: Any, working: Working, captured_streams: Captured
) -> None:
    failed = list[dict[str, Any]]()

    @dramatiq.actor(broker=stub, max_retries=0, on_retry_exhausted="give_up", queue_name="fails")
    def fail() -> None:
        raise ZeroDivisionError

    @dramatiq.actor(broker=stub)
    def give_up(message: dict[str, Any], _: Any) -> None:
        failed.append(message)

    with working(stub):
        fail.send()
        stub.join("fails", fail_fast=False)
        stub.join("default")
    assert HEADER not in failed[0]["options"]
    (given_up,) = captured_streams.produced("default")
    assert given_up.follows(captured_streams.consumed("fails")[0])


@pytest.mark.parametrize("is_first", [True, False])
def test_skipped_message_counts_once(is_first: bool, stub: Any, working: Working, captured_streams: Captured) -> None:
    class Skip(dramatiq.Middleware):
        def before_process_message(self, broker: Any, message: Any) -> None:
            raise SkipMessage

    stub.add_middleware(Skip(), **({"before": type(stub.middleware[0])} if is_first else {}))

    @dramatiq.actor(broker=stub)
    def work() -> None:
        raise AssertionError

    with working(stub):
        work.send()
        stub.join("default")
    assert len(captured_streams.consumed()) == 1


def test_message_without_context_begins_a_pathway_when_it_was_sent(
    make_broker: Any, working: Working, captured_streams: Captured
) -> None:
    broker = make_broker("stub")

    @dramatiq.actor(broker=broker)
    def work() -> None: ...

    message = work.message()
    object.__setattr__(message, "message_timestamp", int(time() * 1000) - 60_000)
    broker.enqueue(message)
    asyncdsm.wrap(broker)
    with working(broker):
        broker.join("default")
    (taken,) = captured_streams.checkpoints
    assert (taken.parent, round(taken.pathway_latency)) == (0, 60)


def test_delayed_message_without_context_counts_once(
    make_broker: Any, working: Working, captured_streams: Captured
) -> None:
    broker, done = make_broker("stub"), threading.Event()

    @dramatiq.actor(broker=broker)
    def work() -> None:
        done.set()

    work.send_with_options(delay=30)
    asyncdsm.wrap(broker)
    with working(broker):
        assert done.wait(30)
    assert [made.tag("direction") for made in captured_streams.checkpoints] == ["in"]


@pytest.mark.parametrize("value", [5, None, "%", ["x"], {"a": 1}], ids=repr)
def test_context_that_cannot_be_read_begins_a_pathway(
    value: Any, make_broker: Any, working: Working, captured_streams: Captured
) -> None:
    broker, done = make_broker("stub"), list[int]()

    @dramatiq.actor(broker=broker)
    def work() -> None:
        done.append(1)

    work.send_with_options(**{HEADER: value})
    asyncdsm.wrap(broker)
    with working(broker):
        broker.join("default")
    assert done == [1]
    assert [made.parent for made in captured_streams.consumed()] == [0]
    assert captured_streams.stats().errors == 0


@pytest.mark.parametrize("retries", [None, "5", -1, 0, True, 2.5], ids=repr)
def test_odd_number_of_retries_is_no_redelivery(
    retries: Any, make_broker: Any, working: Working, captured_streams: Captured
) -> None:
    from tests.integrations.test_edge_facts import deliveries

    broker = make_broker("stub")

    @dramatiq.actor(broker=broker)
    def work() -> None: ...

    work.send_with_options(retries=retries)
    asyncdsm.wrap(broker)
    with working(broker):
        broker.join("default")
    assert len(captured_streams.consumed()) == 1
    assert deliveries(captured_streams) == {}


def test_pathway_of_a_stored_message_is_that_of_its_option(stub: Any, captured_streams: Captured) -> None:
    @dramatiq.actor(broker=stub)
    def work() -> None: ...

    work.send()
    message = dramatiq.Message.decode(stub.queues["default"].queue[0])
    (sent,) = captured_streams.produced()
    with asyncdsm.using(message) as pathway:
        assert pathway is not None
        assert pathway.hash != sent.hash
        work.send()
    assert captured_streams.produced()[-1].parent == pathway.hash
    assert captured_streams.consumed() == []
