"""Google Pub/Sub: what is received counts once, under its subscription, by a callback or by a pull."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from datetime import UTC, datetime
from queue import Queue
from time import time_ns
from typing import Any

import pytest
from google.cloud.pubsub_v1.subscriber.exceptions import AcknowledgeStatus
from google.cloud.pubsub_v1.subscriber.scheduler import ThreadScheduler
from google.cloud.pubsub_v1.types import FlowControl
from google.pubsub_v1 import SubscriberAsyncClient
from google.pubsub_v1.types import PullRequest, PullResponse

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.context import HEADER
from asyncdsm.core.lag import current_lags
from asyncdsm.testing import Captured
from tests.integrations.pubsub.clients import Names, streaming


def with_context(number: int) -> dict[str, str]:
    """Return attributes with the context of a pathway whose hash is `number`."""
    return {HEADER: Pathway(number, time_ns(), time_ns()).encode_base64()}


def test_message_is_current_in_its_callback_and_not_after_it(
    subscriber: Any, bare: Names, captured_streams: Captured
) -> None:
    topic, subscription = bare.make()
    bare.send(topic, b"body", order="4711", **with_context(5))
    seen = Queue[Any]()

    def callback(message: Any) -> None:
        seen.put((message, asyncdsm.current_pathway()))
        message.ack()

    executor = ThreadPoolExecutor(1)
    with streaming(subscriber, subscription, callback, scheduler=ThreadScheduler(executor)):
        message, pathway = seen.get(timeout=10)
        assert executor.submit(asyncdsm.current_pathway).result(10) is None
    (made,) = captured_streams.consumed()
    assert made.tags == ("direction:in", f"topic:{subscription}", "type:google-pubsub")
    assert (made.parent, made.hash) == (5, pathway.hash)
    assert made.size == len(b"body") + len("order4711") + len(HEADER) + len(message.attributes[HEADER])
    with asyncdsm.using(message) as found:
        assert found == pathway


def test_thread_that_handles_one_message_after_the_other_mixes_none_up(
    subscriber: Any, bare: Names, captured_streams: Captured
) -> None:
    topic, subscription = bare.make()
    for number in range(1, 51):
        bare.send(topic, b"%d" % number, **with_context(number))
    bare.send(topic, b"0")
    seen = Queue[Any]()

    def callback(message: Any) -> None:
        message.ack()
        seen.put((int(message.data), asyncdsm.current_pathway()))
        if int(message.data) % 7 == 3:
            asyncdsm.set_consume_checkpoint("other", "left behind", dict[str, str]().get)

    with streaming(subscriber, subscription, callback, scheduler=ThreadScheduler(ThreadPoolExecutor(1))):
        found = dict(seen.get(timeout=10) for _ in range(51))
    parents = {made.hash: made.parent for made in captured_streams.consumed(subscription)}
    assert {number: parents[pathway.hash] for number, pathway in found.items()} == {n: n for n in range(51)}


def test_callback_that_raises_gets_the_message_again_in_a_new_stream(
    subscriber: Any, bare: Names, captured_streams: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    topic, subscription = bare.make()
    bare.send(topic, b"body", **with_context(5))

    def fail(_: Any) -> None:
        raise ValueError("of the program")

    with pytest.raises(ValueError, match="of the program"), streaming(subscriber, subscription, fail) as future:
        future.result(timeout=10)
    done = Queue[Any]()
    with streaming(subscriber, subscription, done.put):
        done.get(timeout=90).ack()  # the client may end before it has told that the callback failed
    assert "ValueError: of the program" in caplog.text
    parents = [made.parent for made in captured_streams.consumed()]
    assert len(parents) >= 2  # it may come more than once again
    assert set(parents) == {5}


def test_arguments_of_subscribe_reach_the_client_in_any_form(
    subscriber: Any, bare: Names, captured_streams: Captured
) -> None:
    topic, subscription = bare.make()
    seen = Queue[Any]()

    def callback(message: Any) -> None:
        message.ack()
        seen.put(message)

    for args, kwargs in (
        ((subscription, callback, FlowControl(max_messages=5)), {}),
        ((subscription,), {"callback": callback, "use_legacy_flow_control": True}),
        ((), {"subscription": subscription, "callback": callback}),
    ):
        future = subscriber.subscribe(*args, **kwargs, await_callbacks_on_shutdown=True)
        bare.send(topic, b"body")
        seen.get(timeout=10)
        future.cancel()
        future.result(30)
    assert len(captured_streams.consumed(subscription)) == 3
    for wrong in ({}, {"subscription": subscription}, {"subscription": subscription, "callback": callback, "x": 1}):
        with pytest.raises(TypeError):
            subscriber.subscribe(**wrong)


def test_message_without_a_context_begins_when_the_service_got_it(
    subscriber: Any, bare: Names, captured_streams: Captured
) -> None:
    topic, subscription = bare.make()
    bare.send(topic, b"body")
    published = time_ns()
    response = subscriber.pull(subscription=subscription, max_messages=1)
    pathway = asyncdsm.current_pathway()
    assert pathway is not None
    assert abs(pathway.pathway_start_ns - published) < 1e9
    (received,) = response.received_messages
    assert pathway.pathway_start_ns == received.message.publish_time.timestamp_pb().ToNanoseconds() // 1000 * 1000
    assert captured_streams.consumed()[0].parent == 0
    assert datetime.fromtimestamp(published / 1e9, UTC) >= received.message.publish_time


def test_deliveries_again_and_dead_letters_are_told_from_first_ones(
    subscriber: Any, bare: Names, captured_streams: Captured
) -> None:
    dead, dead_subscription = bare.make()
    topic, subscription = bare.make(dead_letter_policy={"dead_letter_topic": dead, "max_delivery_attempts": 5})
    bare.send(topic, b"body", **with_context(5))
    attempts, buried = Queue[int](), Queue[Any]()

    def refuse(message: Any) -> None:
        attempts.put(message.delivery_attempt)
        message.nack()

    def bury(message: Any) -> None:
        message.ack()
        buried.put(message)

    with streaming(subscriber, subscription, refuse), streaming(subscriber, dead_subscription, bury):
        message = buried.get(timeout=20)
    assert message.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"
    assert [attempts.get() for _ in range(5)] == [1, 2, 3, 4, 5]
    again, letter = captured_streams.consumed(subscription), captured_streams.consumed(dead_subscription)
    assert [made.parent for made in [*again, *letter]] == [5] * 6
    (batch,) = captured_streams.facts.take(None)
    assert {edge.tags[1]: (facts.redelivered, facts.dead_lettered) for edge, facts in batch.edges.items()} == {
        f"topic:{subscription}": (4, 0),
        f"topic:{dead_subscription}": (0, 1),
    }


def test_messages_of_a_pull_are_current_in_turn(subscriber: Any, bare: Names, captured_streams: Captured) -> None:
    topic, subscription = bare.make()
    for number in range(1, 6):
        bare.send(topic, b"%d" % number, **with_context(number))
    response = subscriber.pull(request={"subscription": subscription, "max_messages": 5})
    assert asyncdsm.current_pathway() is None
    parents = {made.hash: made.parent for made in captured_streams.consumed(subscription)}
    for received in response.received_messages:
        pathway = asyncdsm.current_pathway()
        assert pathway is not None
        assert parents[pathway.hash] == int(received.message.data)
        with asyncdsm.using(received) as found:
            assert found == pathway
        with asyncdsm.using(received.message) as brought:
            assert brought is not None
            assert brought.hash == int(received.message.data)
    assert asyncdsm.current_pathway() is None
    first, *rest = response.received_messages
    assert [first, *rest] == list(PullResponse.deserialize(PullResponse.serialize(response)).received_messages)
    assert len(parents) == 5


def change_response(response: Any) -> list[Any]:
    """Change the messages of a response in each way that there is, and return what the program sees after each."""
    seen, messages = list[Any](), response.received_messages

    def look() -> None:
        kept = type(response).deserialize(type(response).serialize(response)).received_messages
        dicts = type(response).to_dict(response)["received_messages"]
        bodies = [received.message.data for received in response.received_messages]
        assert bodies == [received.message.data for received in kept]
        assert len(dicts) == len(bodies) == len(response.received_messages)
        seen.append((bodies, response == type(response)(received_messages=list(kept))))

    look()
    first = messages[0]
    seen.append((first in messages, messages.index(first), messages.count(first), messages == [*messages]))
    seen.append([type(messages[:2][0]).__name__, len(messages[:2]), len(copy(messages))])
    seen.append((type(messages.pop(0)).__name__, [each.message.data for each in reversed(messages)]))
    look()
    messages.append(first)
    del messages[0]
    look()
    response.received_messages += [first]
    look()
    response.received_messages[0] = first
    messages.reverse()
    look()
    response.received_messages = [each for each in response.received_messages if each.message.data == b"0"]
    look()
    for wrong in (1, ["no message"]):
        with pytest.raises((TypeError, AttributeError)) as raised:
            response.received_messages = wrong
        seen.append(str(raised.value))
    look()
    del response.received_messages
    look()
    response.received_messages.append(first)
    look()
    response.received_messages.clear()
    look()
    return seen


@pytest.mark.parametrize("count", [1, 3])
def test_response_is_what_the_program_makes_of_it(
    subscriber: Any, bare: Names, captured_streams: Captured, count: int
) -> None:
    topic, subscription = bare.make()
    bare.send(topic, *(b"%d" % number for number in range(count)))
    response = subscriber.pull(subscription=subscription, max_messages=count)
    plain = PullResponse.deserialize(PullResponse.serialize(response))
    assert change_response(response) == change_response(plain)
    assert len(captured_streams.consumed(subscription)) == count
    assert captured_streams.stats().errors == 0


def test_messages_that_are_assigned_to_a_response_keep_their_pathways(
    subscriber: Any, bare: Names, captured_streams: Captured
) -> None:
    topic, subscription = bare.make()
    for number in range(1, 6):
        bare.send(topic, b"%d" % number, **with_context(number))
    response = subscriber.pull(subscription=subscription, max_messages=5)
    parents = {made.hash: made.parent for made in captured_streams.consumed(subscription)}

    def parent() -> int:
        pathway = asyncdsm.current_pathway()
        assert pathway is not None
        return parents[pathway.hash]

    response.received_messages = [each for each in response.received_messages if int(each.message.data) % 2]
    seen = [(int(each.message.data), parent()) for each in response.received_messages]
    assert seen == [(1, 1), (3, 3), (5, 5)]
    assert asyncdsm.current_pathway() is None
    for received in reversed(response.received_messages):
        with asyncdsm.using(received) as found:
            assert found == asyncdsm.current_pathway()
        assert parent() == int(received.message.data)
    assert [parent() for _ in response.received_messages[1:]] == [3, 5]
    assert (int(response.received_messages.pop().message.data), parent()) == (5, 5)


def test_only_message_of_a_pull_is_current_until_the_next_one(
    subscriber: Any, bare: Names, captured_streams: Captured
) -> None:
    topic, subscription = bare.make()
    bare.send(topic, b"body", **with_context(5))
    response = subscriber.pull(PullRequest(subscription=subscription, max_messages=5))
    pathway = asyncdsm.current_pathway()
    assert pathway is not None
    assert pathway.hash == captured_streams.consumed(subscription)[0].hash
    with asyncdsm.using(response.received_messages[0]) as found:
        assert found == pathway
    assert len(subscriber.pull(subscription=subscription, max_messages=1).received_messages) == 0
    assert asyncdsm.current_pathway() is None


async def test_async_pull_makes_messages_current_for_its_caller_alone(
    async_subscriber: SubscriberAsyncClient, bare: Names, captured_streams: Captured
) -> None:
    topic, subscription = await asyncio.to_thread(bare.make)
    for count in (1, 3):
        for number in range(count):
            await asyncio.to_thread(bare.send, topic, b"%d" % number, **with_context(number + 1))
        async with asyncio.timeout(20):
            response: Any = await async_subscriber.pull(subscription=subscription, max_messages=count)
        assert (asyncdsm.current_pathway() is not None) == (count == 1)
        parents = {made.hash: made.parent for made in captured_streams.consumed(subscription)}
        for received in response.received_messages:
            pathway = asyncdsm.current_pathway()
            assert pathway is not None
            assert parents[pathway.hash] == int(received.message.data) + 1
        captured_streams.clear()
    await asyncio.to_thread(bare.send, topic, b"0", **with_context(1))
    (response,) = await asyncio.gather(async_subscriber.pull(subscription=subscription, max_messages=9))
    assert asyncdsm.current_pathway() is None
    for _ in response.received_messages:
        assert asyncdsm.current_pathway() is not None
    assert asyncdsm.current_pathway() is None


async def test_task_that_is_cancelled_before_it_starts_asks_for_nothing(
    async_subscriber: SubscriberAsyncClient, bare: Names
) -> None:
    """A coroutine that is made and never awaited would be a warning, which is an error in these tests."""
    topic, subscription = await asyncio.to_thread(bare.make)
    task = asyncio.ensure_future(async_subscriber.pull(subscription=subscription, max_messages=1))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gc.collect()
    await asyncio.to_thread(bare.send, topic, b"body")
    assert len((await async_subscriber.pull(subscription=subscription, max_messages=1)).received_messages) == 1


def test_acknowledgements_of_exactly_once_delivery_are_left_alone(
    subscriber: Any, bare: Names, captured_streams: Captured
) -> None:
    topic, subscription = bare.make(enable_exactly_once_delivery=True)
    statuses = Queue[Any]()
    with streaming(subscriber, subscription, lambda message: statuses.put(message.ack_with_response())):
        bare.send(topic, b"body")
        assert statuses.get(timeout=10).result(20) is AcknowledgeStatus.SUCCESS
    assert len(captured_streams.consumed(subscription)) == 1


def test_lag_is_not_known(subscriber: Any, bare: Names, captured_streams: Captured) -> None:
    topic, subscription = bare.make()
    bare.send(topic, b"1", b"2")
    subscriber.pull(subscription=subscription, max_messages=1)
    assert [lag for lag in current_lags() if lag.topic == subscription] == []


def test_receiving_while_nothing_measures_changes_nothing(bare: Names) -> None:
    topic, subscription = bare.make()
    asyncdsm.wrap(bare.subscriber)
    bare.send(topic, b"1", b"2", **with_context(5))
    response = bare.subscriber.pull(subscription=subscription, max_messages=2)
    assert "received_messages" not in vars(response)
    assert asyncdsm.current_pathway() is None
    seen = Queue[Any]()
    bare.send(topic, b"3")
    with streaming(bare.subscriber, subscription, seen.put):
        message = seen.get(timeout=10)
        assert message.data == b"3"
        message.ack()
