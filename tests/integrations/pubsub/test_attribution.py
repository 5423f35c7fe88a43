"""Google Pub/Sub: every message gets the right parent under concurrency, checked on the wire."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import sleep, time_ns
from typing import Any

import pytest
from google.cloud.pubsub_v1.subscriber.scheduler import ThreadScheduler
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.context import HEADER, node_hash, pathway_hash
from asyncdsm.testing import Captured
from tests.integrations.pubsub.clients import Names, streaming

COUNTS = [1, 2, 10, 100, 1000]


class Line:
    """A pipeline with one context for each message, so that a wrong parent cannot look right."""

    def __init__(self, bare: Names) -> None:
        self._bare = bare
        self.source, self.source_subscription = bare.make()
        self.target, self._target_subscription = bare.make()

    def fill(self, count: int) -> None:
        """Publish messages to the source, number n with the pathway hash n + 1."""
        for first in range(0, count, 100):
            messages = [
                {
                    "data": b"%d" % number,
                    "attributes": {HEADER: Pathway(number + 1, time_ns(), time_ns()).encode_base64()},
                }
                for number in range(first, min(first + 100, count))
            ]
            self._bare.publisher._gapic_publish(request={"topic": self.source, "messages": messages})

    def check(self, count: int) -> None:
        """Compare every published message with the parent that it must have."""
        consumed = node_hash("test", None, ("direction:in", f"topic:{self.source_subscription}", "type:google-pubsub"))
        published = node_hash("test", None, ("direction:out", f"topic:{self.target}", "type:google-pubsub"))
        found = dict[bytes, int]()
        for message in self._bare.read(self._target_subscription, count):
            pathway = Pathway.decode_base64(message.attributes[HEADER])
            assert pathway is not None
            found[message.data] = pathway.hash
        assert found == {
            b"%d" % number: pathway_hash(published, pathway_hash(consumed, number + 1)) for number in range(count)
        }


class Countdown:
    """Called back for each message, on a loop or in threads; awaited until all were handled."""

    def __init__(self, count: int) -> None:
        self._left, self._done, self._loop = count, asyncio.Event(), asyncio.get_running_loop()

    def step(self) -> None:
        self._loop.call_soon_threadsafe(self._step)

    def _step(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._done.set()

    async def wait(self) -> None:
        async with asyncio.timeout(60):
            await self._done.wait()


async def run_stream(subscriber: Any, line: Line, count: int, callback: Callable[[Any], None], done: Countdown) -> None:
    """Stream the messages of the source to a callback, in threads, until all are handled."""
    stream = streaming(subscriber, line.source_subscription, callback)
    await asyncio.to_thread(stream.__enter__)
    try:
        await asyncio.to_thread(line.fill, count)
        await done.wait()
    finally:
        await asyncio.to_thread(stream.__exit__, None, None, None)
    await asyncio.to_thread(line.check, count)


@pytest.mark.parametrize("count", COUNTS)
async def test_tasks_that_callbacks_start_on_one_loop_publish_with_their_own_parent(
    subscriber: Any, async_publisher: PublisherAsyncClient, bare: Names, count: int
) -> None:
    line = await asyncio.to_thread(Line, bare)
    loop, done = asyncio.get_running_loop(), Countdown(count)

    async def forward(message: Any) -> None:
        for _ in range(random.randrange(3)):
            await asyncio.sleep(random.random() / 100)
        await async_publisher.publish(topic=line.target, messages=[{"data": message.data}])  # type: ignore[list-item]
        message.ack()
        done.step()

    def callback(message: Any) -> None:
        asyncio.run_coroutine_threadsafe(forward(message), loop)

    await run_stream(subscriber, line, count, callback, done)


@pytest.mark.parametrize("count", COUNTS)
async def test_callbacks_in_threads_publish_with_their_own_parent(
    subscriber: Any, publisher: Any, bare: Names, count: int
) -> None:
    line = await asyncio.to_thread(Line, bare)
    done = Countdown(count)

    def callback(message: Any) -> None:
        sleep(random.random() / 1000)
        publisher.publish(line.target, message.data)
        message.ack()
        done.step()

    await run_stream(subscriber, line, count, callback, done)


@pytest.mark.parametrize("count", COUNTS)
async def test_messages_of_pulled_lists_publish_with_their_own_parent(
    async_subscriber: SubscriberAsyncClient, async_publisher: PublisherAsyncClient, bare: Names, count: int
) -> None:
    line = await asyncio.to_thread(Line, bare)
    await asyncio.to_thread(line.fill, count)

    async def forward(received: Any) -> None:
        await asyncio.sleep(random.random() / 100)
        messages: Any = [{"data": received.message.data}]
        await async_publisher.publish(topic=line.target, messages=messages)

    done, subscription = 0, line.source_subscription
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        while done < count:
            response: Any = await async_subscriber.pull(subscription=subscription, max_messages=100)
            for received in response.received_messages:
                if done % 2:
                    await forward(received)
                else:
                    tasks.create_task(forward(received))
                done += 1
            ack_ids = [received.ack_id for received in response.received_messages]
            await async_subscriber.acknowledge(subscription=subscription, ack_ids=ack_ids)
    assert asyncdsm.current_pathway() is None or count % 100 == 1
    await asyncio.to_thread(line.check, count)


async def test_messages_handed_to_workers_keep_their_parent_by_using(
    subscriber: Any, async_publisher: PublisherAsyncClient, bare: Names
) -> None:
    line = await asyncio.to_thread(Line, bare)
    loop, done, queue = asyncio.get_running_loop(), Countdown(200), asyncio.Queue[Any]()

    async def work() -> None:
        while True:
            message = await queue.get()
            with asyncdsm.using(message):
                await asyncio.sleep(random.random() / 100)
                messages: Any = [{"data": message.data}]
                await async_publisher.publish(topic=line.target, messages=messages)
            message.ack()
            done.step()

    def callback(message: Any) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, message)

    workers = [asyncio.create_task(work()) for _ in range(10)]
    try:
        await run_stream(subscriber, line, 200, callback, done)
    finally:
        for worker in workers:
            worker.cancel()


def test_threads_of_a_pool_of_the_program_s_own_have_no_pathway_left(
    subscriber: Any, bare: Names, captured_streams: Captured
) -> None:
    line, executor = Line(bare), ThreadPoolExecutor(4)
    seen = list[int]()

    def callback(message: Any) -> None:
        seen.append(int(message.data))
        message.ack()

    with streaming(subscriber, line.source_subscription, callback, scheduler=ThreadScheduler(executor)):
        line.fill(40)
        while len(seen) < 40:
            sleep(0.01)
        left = [executor.submit(asyncdsm.current_pathway).result(10) for _ in range(20)]
    assert left == [None] * 20
    assert sorted(seen) == list(range(40))
    assert len(captured_streams.consumed()) == 40
