"""Google Pub/Sub: what is published carries a context, unless it has no room, and counts when the service has it."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from google.api_core.exceptions import InvalidArgument, NotFound
from google.cloud.pubsub_v1.publisher.exceptions import FlowControlLimitError, MessageTooLargeError
from google.cloud.pubsub_v1.types import LimitExceededBehavior, PublishFlowControl
from google.pubsub_v1 import PublisherAsyncClient
from google.pubsub_v1 import PublisherClient as GeneratedPublisher
from google.pubsub_v1.types import PublishRequest, PubsubMessage

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.pubsub import PubSubServer
from tests.integrations.pubsub.clients import Names, publishing, wait_until

pytestmark = pytest.mark.usefixtures("captured_streams")


def hash_in(message: Any) -> int:
    """Return the hash of the pathway that a message brings."""
    pathway = Pathway.decode_base64(message.attributes[HEADER])
    assert pathway is not None
    return pathway.hash


def test_published_message_counts_with_its_future_and_carries_its_context(
    publisher: Any, bare: Names, captured_streams: Captured
) -> None:
    topic, subscription = bare.make()
    attributes = {"order": "4711", "as_bytes": b"4712", HEADER: "of another message"}
    before = dict(attributes)
    assert publisher.publish(topic, b"body", **attributes).result(10)
    assert attributes == before
    (message,) = bare.read(subscription)
    wait_until(lambda: len(captured_streams.checkpoints) == 1)
    (made,) = captured_streams.produced(topic)
    assert (message.data, dict(message.attributes)) == (
        b"body",
        {"order": "4711", "as_bytes": "4712", HEADER: message.attributes[HEADER]},
    )
    assert hash_in(message) == made.hash
    assert made.tags == ("direction:out", f"topic:{topic}", "type:google-pubsub")
    assert made.size == len(b"body") + len("order4711as_bytes4712") + len(HEADER) + len(message.attributes[HEADER])


def test_batch_of_messages_has_a_context_for_each(publisher: Any, bare: Names, captured_streams: Captured) -> None:
    topic, subscription = bare.make()
    futures = [publisher.publish(topic, b"%d" % number) for number in range(250)]
    assert len({future.result(10) for future in futures}) == 250
    wait_until(lambda: len(captured_streams.produced(topic)) == 250)
    assert {hash_in(message) for message in bare.read(subscription, 250)} == {captured_streams.checkpoints[0].hash}


def test_messages_of_an_ordering_key_stay_in_order(
    pubsub: PubSubServer, bare: Names, captured_streams: Captured
) -> None:
    topic, subscription = bare.make(enable_message_ordering=True)
    with publishing(pubsub.address, enable_message_ordering=True) as publisher:
        asyncdsm.wrap(publisher)
        futures = [publisher.publish(topic, b"%d" % number, "order") for number in range(10)]
        futures += [publisher.publish(topic, data=b"10", ordering_key="order", attribute="value")]
        for future in futures:
            future.result(10)
    messages = bare.read(subscription, 11)
    assert [(message.data, message.ordering_key) for message in messages] == [
        (b"%d" % number, "order") for number in range(11)
    ]
    assert all(HEADER in message.attributes for message in messages)
    wait_until(lambda: len(captured_streams.produced(topic)) == 11)


@pytest.mark.parametrize(("count", "has_context"), [(99, True), (100, False)])
def test_message_with_as_many_attributes_as_it_may_have_goes_without(
    publisher: Any, bare: Names, captured_streams: Captured, count: int, has_context: bool
) -> None:
    topic, subscription = bare.make()
    publisher.publish(topic, b"body", **{f"a{number}": "v" for number in range(count)}).result(10)
    (message,) = bare.read(subscription)
    assert (HEADER in message.attributes) == has_context
    wait_until(lambda: len(captured_streams.produced(topic)) == 1)
    assert captured_streams.stats().not_propagated == (not has_context)


def test_message_as_large_as_it_may_be_goes_without(publisher: Any, bare: Names, captured_streams: Captured) -> None:
    topic, subscription = bare.make()
    overhead = len(PublishRequest.serialize(PublishRequest(topic=topic, messages=[{"data": b"." * 9_999_000}])))
    largest = 10_000_000 - (overhead - 9_999_000)
    publisher.publish(topic, b"." * (largest - 500), **{HEADER: "forwarded"}).result(30)
    publisher.publish(topic, b"." * largest).result(30)
    with pytest.raises(MessageTooLargeError):
        publisher.publish(topic, b"." * (largest + 1))
    messages = {len(message.data): HEADER in message.attributes for message in bare.read(subscription, 2)}
    assert messages == {largest: False, largest - 500: True}
    wait_until(lambda: len(captured_streams.produced(topic)) == 2)
    assert captured_streams.stats().not_propagated == 1


@pytest.mark.parametrize("behavior", [LimitExceededBehavior.ERROR, LimitExceededBehavior.BLOCK])
def test_message_within_the_limit_of_flow_control_is_published(
    pubsub: PubSubServer, bare: Names, captured_streams: Captured, behavior: LimitExceededBehavior
) -> None:
    topic, subscription = bare.make()
    flow = PublishFlowControl(message_limit=10, byte_limit=200, limit_exceeded_behavior=behavior)
    with publishing(pubsub.address) as plain, publishing(pubsub.address, flow_control=flow) as publisher:
        asyncdsm.wrap(publisher)
        for size in (100, 190):
            publisher.publish(topic, b"." * size, **{HEADER: "of another"}).result(10)
        with pytest.raises(FlowControlLimitError):
            publisher.publish(topic, b"." * 201).result(10)
        plain.publish(topic, b"." * 201).result(10)
    found = {len(message.data): message.attributes.get(HEADER) for message in bare.read(subscription, 3)}
    assert sorted(found) == [100, 190, 201]
    assert found[100] not in (None, "of another")
    assert (found[190], found[201]) == (None, None)
    assert (len(captured_streams.produced(topic)), captured_streams.stats().not_propagated) == (2, 1)
    assert captured_streams.stats().errors == 0


def test_message_that_the_service_refuses_does_not_count(
    publisher: Any, bare: Names, captured_streams: Captured
) -> None:
    refused, _ = bare.make(labels={"error": "permission_denied", "times": "1000"})
    with pytest.raises(Exception, match="that a test asked for"):
        publisher.publish(refused, b"body").result(10)
    with pytest.raises(NotFound):
        publisher.publish("projects/p/topics/nothing", b"body").result(10)
    topic, _ = bare.make()
    with pytest.raises(InvalidArgument):
        publisher.publish(topic, b"body", attribute="." * 1025).result(10)
    with pytest.raises(InvalidArgument, match="must have data"):
        publisher.publish(topic, b"").result(10)
    assert captured_streams.checkpoints == []


def test_publish_that_the_client_repeats_counts_once(publisher: Any, bare: Names, captured_streams: Captured) -> None:
    topic, subscription = bare.make(labels={"error": "unavailable", "times": "3"})
    publisher.publish(topic, b"body").result(30)
    assert HEADER in bare.read(subscription)[0].attributes
    wait_until(lambda: len(captured_streams.checkpoints) == 1)


def test_errors_of_the_client_are_the_program_s(
    pubsub: PubSubServer, publisher: Any, captured_streams: Captured
) -> None:
    for args, kwargs in (
        (("projects/p/topics/t", "a string"), {}),
        (("projects/p/topics/t", b"body"), {"attribute": 5}),
        ((), {}),
        ((5, b"body"), {}),
        (("projects/p/topics/t",), {"dat": b"body"}),
    ):
        with pytest.raises(TypeError):
            publisher.publish(*args, **kwargs)
    with pytest.raises(ValueError, match="ordering"):
        publisher.publish("projects/p/topics/t", b"body", "key")
    flow_control = PublishFlowControl(message_limit=0, limit_exceeded_behavior=LimitExceededBehavior.ERROR)
    with publishing(pubsub.address, flow_control=flow_control) as limited, pytest.raises(FlowControlLimitError):
        asyncdsm.wrap(limited).publish("projects/p/topics/t", b"body").result(10)
    with publishing(pubsub.address) as stopped:
        asyncdsm.wrap(stopped)
    with pytest.raises(RuntimeError, match="stopped"):
        stopped.publish("projects/p/topics/t", b"body")
    assert captured_streams.checkpoints == []


def forms(topic: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Return all forms of the arguments of a generated client's `publish`, with two messages each."""
    messages = [PubsubMessage(data=b"1", attributes={"a": "b"}), PubsubMessage(data=b"2", attributes={HEADER: "old"})]
    dicts = [{"data": b"1", "attributes": {"a": "b"}}, {"data": b"2", "attributes": {HEADER: "old"}}]
    request = PublishRequest(topic=topic, messages=messages)
    return [
        ((request,), {}),
        ((), {"request": request, "timeout": 10.0}),
        (({"topic": topic, "messages": dicts},), {}),
        ((PublishRequest.pb(request),), {}),
        ((), {"topic": topic, "messages": messages}),
        ((), {"topic": topic, "messages": tuple(dicts), "metadata": (("k", "v"),)}),
    ]


async def test_request_in_any_form_has_a_context_in_each_message_and_is_not_changed(
    async_publisher: PublisherAsyncClient, bare: Names, captured_streams: Captured
) -> None:
    topic, subscription = await asyncio.to_thread(bare.make)
    publish: Any = async_publisher.publish
    for args, kwargs in forms(topic):
        before = copy.deepcopy((args, kwargs))
        assert len((await publish(*args, **kwargs)).message_ids) == 2
        assert (args, kwargs) == before
        sent = captured_streams.produced(topic)
        captured_streams.clear()
        read = await asyncio.to_thread(bare.read, subscription, 2)
        assert [(message.data, set(message.attributes)) for message in read] == [
            (b"1", {"a", HEADER}),
            (b"2", {HEADER}),
        ]
        assert [hash_in(message) for message in read] == [made.hash for made in sent]


def test_generated_synchronous_client_is_followed(
    pubsub: PubSubServer, bare: Names, captured_streams: Captured
) -> None:
    topic, subscription = bare.make()
    with publishing(pubsub.address, GeneratedPublisher) as publisher:
        asyncdsm.wrap(publisher)
        for args, kwargs in forms(topic):
            publisher.publish(*args, **kwargs)
    assert len(captured_streams.produced(topic)) == 12
    assert all(HEADER in message.attributes for message in bare.read(subscription, 12))


async def test_request_that_fails_does_not_count(
    async_publisher: PublisherAsyncClient, bare: Names, captured_streams: Captured
) -> None:
    topic, _ = await asyncio.to_thread(bare.make)
    publish: Any = async_publisher.publish
    with pytest.raises(InvalidArgument):
        await publish(topic=topic, messages=[{"data": b"1"}, {"data": b""}], timeout=10)
    with pytest.raises(NotFound):
        await publish(topic="projects/p/topics/nothing", messages=[{"data": b"1"}])
    with pytest.raises(ValueError, match="request"):
        await publish({"topic": topic}, topic=topic)
    with pytest.raises((TypeError, ValueError)):
        await publish({"no such field": topic})
    with pytest.raises(TypeError):
        await publish(topic=topic, messages=5)
    with pytest.raises(TypeError):
        await publish(None, topic, [])
    assert captured_streams.checkpoints == []


async def test_request_without_room_goes_without(
    async_publisher: PublisherAsyncClient, bare: Names, captured_streams: Captured
) -> None:
    topic, subscription = await asyncio.to_thread(bare.make)
    many = {f"a{number}": "v" for number in range(100)}
    await async_publisher.publish(topic=topic, messages=[PubsubMessage(attributes=many), PubsubMessage(data=b"2")])
    read = await asyncio.to_thread(bare.read, subscription, 2)
    assert [HEADER in message.attributes for message in read] == [False, True]
    bodies = [PubsubMessage(data=b"." * 4_999_950), PubsubMessage(data=b"." * 4_999_950)]
    await async_publisher.publish(topic=topic, messages=bodies)
    read = await asyncio.to_thread(bare.read, subscription, 2)
    assert [HEADER in message.attributes for message in read] == [False, False]
    assert len(captured_streams.produced(topic)) == 4
    assert captured_streams.stats().not_propagated == 3
