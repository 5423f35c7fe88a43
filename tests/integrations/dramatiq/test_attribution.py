"""A message is processed with its own pathway: in threads, in coroutines, in retries, pipelines and groups."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq.middleware import AsyncIO, GroupCallbacks
from dramatiq.rate_limits.backends import StubBackend

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.testing import Captured
from tests.integrations.dramatiq.conftest import Working
from tests.integrations.test_edge_facts import deliveries


class Seen:
    """What actors saw, and a wait until they have seen enough."""

    def __init__(self) -> None:
        self.pathways = dict[Any, Pathway | None]()
        self._added = threading.Condition()

    def add(self, key: Any) -> None:
        with self._added:
            self.pathways[key] = asyncdsm.current_pathway()
            self._added.notify_all()

    def wait_for(self, number: int) -> None:
        with self._added:
            assert self._added.wait_for(lambda: len(self.pathways) >= number, 30), self.pathways


def walk(captured: Captured) -> list[str | None]:
    """Return the directions of a pathway's checkpoints: a message may be taken before `enqueue` has returned."""
    following = {made.parent: made for made in captured.checkpoints}
    assert len(following) == len(captured.checkpoints)
    found, parent = list[str | None](), 0
    while parent in following:
        found.append(following[parent].tag("direction"))
        parent = following[parent].hash
    return found


def test_message_that_an_actor_sends_follows_its_message(
    broker: Any, name: Callable[[], str], working: Working, captured_streams: Captured
) -> None:
    queue, seen = name(), Seen()

    @dramatiq.actor(broker=broker, queue_name=queue)
    def second() -> None:
        seen.add("second")

    @dramatiq.actor(broker=broker, queue_name=queue)
    def first() -> None:
        second.send()
        seen.add("first")

    with working(broker):
        first.send()
        seen.wait_for(2)
    sent, passed = captured_streams.produced(queue)
    taken, ended = captured_streams.consumed(queue)
    assert {made.tag("type") for made in captured_streams.checkpoints} == {"dramatiq"}
    assert sent.parent == 0
    assert taken.follows(sent)
    assert passed.follows(taken)
    assert ended.follows(passed)
    assert {key: pathway and pathway.hash for key, pathway in seen.pathways.items()} == {
        "first": taken.hash,
        "second": ended.hash,
    }
    assert asyncdsm.current_pathway() is None


@pytest.mark.parametrize("number", [1, 30, 1000])
@pytest.mark.parametrize("kind", ["thread", "coroutine", "both"])
def test_concurrent_messages_each_have_their_own_pathway(
    number: int, kind: str, stub: Any, working: Working, captured_streams: Captured
) -> None:
    stub.add_middleware(AsyncIO())
    seen = Seen()

    @dramatiq.actor(broker=stub)
    async def in_a_coroutine(index: int) -> None:
        await asyncio.sleep(0.001 * (index % 3))
        seen.add(index)

    @dramatiq.actor(broker=stub)
    def in_a_thread(index: int) -> None:
        seen.add(index)

    with working(stub, threads=16):
        for index in range(number):
            actor: Any = in_a_thread if kind == "thread" or (kind == "both" and index % 2) else in_a_coroutine
            with current.restored(Pathway(10_000 + index, 1, 1)):
                actor.send(index)
        seen.wait_for(number)
    sent = {made.parent: made.hash for made in captured_streams.produced()}
    taken = {made.parent: made.hash for made in captured_streams.consumed()}
    assert len(captured_streams.consumed()) == number
    assert {index: pathway and pathway.hash for index, pathway in seen.pathways.items()} == {
        index: taken[sent[10_000 + index]] for index in range(number)
    }


def test_nothing_is_current_in_a_worker_thread_between_messages(stub: Any, working: Working) -> None:
    between = list[Pathway | None]()

    class After(dramatiq.Middleware):
        def after_ack(self, broker: Any, message: Any) -> None:
            between.append(asyncdsm.current_pathway())

        after_nack = after_ack

    stub.add_middleware(After())

    @dramatiq.actor(broker=stub, max_retries=0)
    def fail(fails: bool) -> None:
        if fails:
            raise ZeroDivisionError

    with working(stub):
        for fails in (False, True, False):
            fail.send(fails)
        stub.join(fail.queue_name, fail_fast=False)
    assert between == [None] * 3


def test_retried_message_follows_the_try_before_and_counts_as_redelivered(
    broker: Any, name: Callable[[], str], working: Working, captured_streams: Captured
) -> None:
    queue, seen = name(), Seen()

    @dramatiq.actor(broker=broker, queue_name=queue, min_backoff=1, max_backoff=5, max_retries=5)
    def fail() -> None:
        seen.add(len(seen.pathways))
        if len(seen.pathways) < 3:
            raise ZeroDivisionError

    with working(broker):
        fail.send()
        seen.wait_for(3)
    assert len(captured_streams.produced(queue)) == len(captured_streams.consumed(queue)) == 3
    assert walk(captured_streams) == ["out", "in"] * 3
    assert deliveries(captured_streams) == {queue: (2, 0)}


def test_delayed_message_counts_once_and_keeps_its_parent(
    broker: Any, name: Callable[[], str], working: Working, captured_streams: Captured
) -> None:
    queue, seen = name(), Seen()

    @dramatiq.actor(broker=broker, queue_name=queue)
    def later() -> None:
        seen.add("later")

    with current.restored(Pathway(7, 1, 1)):
        later.send_with_options(delay=50)
    with working(broker):
        seen.wait_for(1)
    (sent,), (taken,) = captured_streams.produced(), captured_streams.consumed()
    assert (sent.topic, sent.parent, taken.topic) == (queue, 7, queue)
    assert taken.follows(sent)


def test_pipeline_is_one_pathway(
    broker: Any, name: Callable[[], str], working: Working, captured_streams: Captured
) -> None:
    queue, seen = name(), Seen()

    @dramatiq.actor(broker=broker, queue_name=queue)
    def add(number: int, more: int = 0) -> int:
        seen.add(number)
        return number + more

    with working(broker):
        dramatiq.pipeline([add.message(1, 10), add.message(100), add.message(1000)], broker=broker).run()
        seen.wait_for(3)
    assert list(seen.pathways) == [1, 100, 1000]
    assert walk(captured_streams) == ["out", "in"] * 3


def test_messages_of_a_group_have_one_parent_and_the_callback_the_last_of_them(
    stub: Any, working: Working, captured_streams: Captured
) -> None:
    stub.add_middleware(GroupCallbacks(StubBackend()))
    seen = Seen()

    @dramatiq.actor(broker=stub)
    def each(number: int) -> None:
        seen.add(number)

    @dramatiq.actor(broker=stub, queue_name="ends")
    def end() -> None:
        seen.add("end")

    with working(stub):
        group = dramatiq.group([each.message(number) for number in range(5)], broker=stub)
        group.add_completion_callback(end.message())
        with current.restored(Pathway(7, 1, 1)):
            group.run()
        seen.wait_for(6)
    assert [made.parent for made in captured_streams.produced("default")] == [7] * 5
    (ended,) = captured_streams.produced("ends")
    assert ended.parent in {made.hash for made in captured_streams.consumed("default")}


def test_using_makes_the_current_message_current_elsewhere(
    stub: Any, working: Working, captured_streams: Captured
) -> None:
    from dramatiq.middleware import CurrentMessage

    if not any(isinstance(middleware, CurrentMessage) for middleware in stub.middleware):
        stub.add_middleware(CurrentMessage())
    seen = Seen()

    @dramatiq.actor(broker=stub)
    def hand_over() -> None:
        message = CurrentMessage.get_current_message()

        def handle() -> None:
            with asyncdsm.using(message):
                seen.add("thread")

        thread = threading.Thread(target=handle)
        thread.start()
        thread.join()
        seen.add("actor")

    with working(stub):
        hand_over.send()
        seen.wait_for(2)
    assert seen.pathways["thread"] == seen.pathways["actor"] is not None
