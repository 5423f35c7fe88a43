"""A fake of Google Pub/Sub on the client's own wire: a gRPC server for what its clients call to send and receive.

As the service does, it stores a message before it answers, gives each an id and a time, leases it to whoever receives
it, and delivers it again after a nack or when the lease ends. It checks the limits of messages, delivers the messages
of an ordering key one after the other, and sends a message that was delivered too often to the topic for dead letters.
All of it is in a journal, so that a server that was killed goes on where it was; only leases are forgotten.

Unlike the service, it waits for the acknowledgement of a message before it delivers the next one of its ordering key;
it has one zone, no permissions, no flow control of its own, and exactly-once delivery is only announced. A test that
needs an error gives its topic the labels `error`, a gRPC status, and `times`, how many publishes fail with it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf.empty_pb2 import Empty
from google.pubsub_v1.types import pubsub

MOST_ATTRIBUTES, LONGEST_KEY, LONGEST_VALUE = 100, 256, 1024
LARGEST_REQUEST = 10_000_000
PAUSE_SECONDS = 0.005
"""How long a stream sleeps that has nothing to deliver."""
DEAD_LETTER = "CloudPubSubDeadLetterSource"


class Entry:
    """A message of a subscription that is not acknowledged."""

    def __init__(self, message: Any) -> None:
        self.message = message
        self.attempts = 0
        self.leased_until = 0.0

    def is_leased(self) -> bool:
        return self.leased_until > time.monotonic()


class Subscription:
    """What a subscription has still to deliver, by message id."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.entries = dict[str, Entry]()

    def lease(self, most: int, seconds: float) -> list[tuple[Entry, Any]]:
        """Lease messages to a receiver; return them, each as it is received."""
        leased, keys = list[tuple[Entry, Any]](), set[str]()
        for entry in self.entries.values():
            key = entry.message.ordering_key if self.settings.enable_message_ordering else ""
            if not entry.is_leased() and key not in keys and len(leased) < most:
                entry.attempts += 1
                entry.leased_until = time.monotonic() + seconds
                leased.append((entry, self._received(entry)))
            if key:
                keys.add(key)
        return leased

    def entry_of(self, ack_id: str) -> Entry | None:
        """Return the entry of a delivery, None if it was delivered again since, or acknowledged."""
        message_id, _, attempt = ack_id.partition("-")
        entry = self.entries.get(message_id)
        return entry if entry is not None and entry.attempts == int(attempt) else None

    def _received(self, entry: Entry) -> Any:
        attempt = entry.attempts if self.settings.dead_letter_policy.dead_letter_topic else 0
        ack_id = f"{entry.message.message_id}-{entry.attempts}"
        return pubsub.ReceivedMessage.pb()(ack_id=ack_id, message=entry.message, delivery_attempt=attempt)


class Broker:
    """The topics and subscriptions, and the journal of all that was done to them."""

    def __init__(self, journal: Path) -> None:
        self.topics = dict[str, Any]()
        self.subscriptions = dict[str, Subscription]()
        self.failed = dict[str, int]()
        self._last_id = 0
        for line in journal.read_text().splitlines() if journal.exists() else ():
            if line.endswith("]"):  # the server may have been killed while it wrote the last one
                name, *args = json.loads(line)
                getattr(self, f"_do_{name}")(*args)
        self._journal = journal.open("ab", buffering=0)
        self._journal.write(b"\n")

    def do(self, name: str, *args: Any) -> None:
        """Write to the journal what is done, and do it."""
        self._journal.write(json.dumps([name, *args]).encode() + b"\n")
        getattr(self, f"_do_{name}")(*args)

    def publish(self, topic: str, message: Any) -> str:
        """Store a message, and return its id."""
        stored = pubsub.PubsubMessage.pb()()
        stored.CopyFrom(message)
        stored.message_id = str(self._last_id + 1)
        stored.publish_time.GetCurrentTime()
        self.do("publish", topic, pack(stored))
        return str(stored.message_id)

    def lease(self, name: str, most: int, seconds: float = 0) -> list[Any]:
        """Lease messages of a subscription, and send those to its topic for dead letters that have come too often."""
        subscription = self.subscriptions[name]
        policy, received = subscription.settings.dead_letter_policy, list[Any]()
        for entry, each in subscription.lease(most, seconds or subscription.settings.ack_deadline_seconds or 10):
            if policy.dead_letter_topic and entry.attempts > (policy.max_delivery_attempts or 5):
                self._bury(name, policy, entry)
            else:
                self.do("deliver", name, entry.message.message_id, entry.attempts)
                received.append(each)
        return received

    def _bury(self, name: str, policy: Any, entry: Entry) -> None:
        buried = pubsub.PubsubMessage.pb()()
        buried.CopyFrom(entry.message)
        buried.attributes[f"{DEAD_LETTER}Subscription"] = name.rsplit("/", 1)[-1]
        buried.attributes[f"{DEAD_LETTER}SubscriptionProject"] = name.split("/")[1]
        buried.attributes[f"{DEAD_LETTER}DeliveryCount"] = str(entry.attempts - 1)
        self.publish(policy.dead_letter_topic, buried)
        self.do("ack", name, entry.message.message_id)

    def _do_topic(self, name: str, settings: str) -> None:
        self.topics[name] = unpack(settings, pubsub.Topic.pb()())

    def _do_subscription(self, name: str, settings: str) -> None:
        self.subscriptions[name] = Subscription(unpack(settings, pubsub.Subscription.pb()()))

    def _do_publish(self, topic: str, packed: str) -> None:
        self._last_id += 1
        for subscription in self.subscriptions.values():
            message = unpack(packed, pubsub.PubsubMessage.pb()())
            if subscription.settings.topic == topic and passes_filter(subscription.settings.filter, message):
                subscription.entries[message.message_id] = Entry(message)

    def _do_deliver(self, name: str, message_id: str, attempts: int) -> None:
        self.subscriptions[name].entries[message_id].attempts = attempts

    def _do_update_subscription(self, name: str, settings: str) -> None:
        self.subscriptions[name].settings = unpack(settings, pubsub.Subscription.pb()())

    def _do_delete_subscription(self, name: str) -> None:
        del self.subscriptions[name]

    def _do_ack(self, name: str, message_id: str) -> None:
        self.subscriptions[name].entries.pop(message_id, None)


def pack(message: Any) -> str:
    return base64.b64encode(message.SerializeToString()).decode()


def unpack(packed: str, message: Any) -> Any:
    message.ParseFromString(base64.b64decode(packed))
    return message


class Api:
    """The methods of the service, each as gRPC calls it."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def create_topic(self, topic: Any, context: Any) -> Any:
        await self._check_is_new(self._broker.topics, topic.name, context)
        self._broker.do("topic", topic.name, pack(topic))
        return topic

    async def create_subscription(self, subscription: Any, context: Any) -> Any:
        await self._check_exists(self._broker.topics, subscription.topic, context)
        await self._check_is_new(self._broker.subscriptions, subscription.name, context)
        self._broker.do("subscription", subscription.name, pack(subscription))
        return subscription

    async def get_topic(self, request: Any, context: Any) -> Any:
        await self._check_exists(self._broker.topics, request.topic, context)
        return self._broker.topics[request.topic]

    async def update_subscription(self, request: Any, context: Any) -> Any:
        name = request.subscription.name
        await self._check_exists(self._broker.subscriptions, name, context)
        settings = pubsub.Subscription.pb()()
        settings.CopyFrom(self._broker.subscriptions[name].settings)
        request.update_mask.MergeMessage(request.subscription, settings)
        self._broker.do("update_subscription", name, pack(settings))
        return settings

    async def delete_subscription(self, request: Any, context: Any) -> Any:
        await self._check_exists(self._broker.subscriptions, request.subscription, context)
        self._broker.do("delete_subscription", request.subscription)
        return Empty()

    async def publish(self, request: Any, context: Any) -> Any:
        await self._check_exists(self._broker.topics, request.topic, context)
        labels = self._broker.topics[request.topic].labels
        if "error" in labels:
            failed = self._broker.failed[request.topic] = self._broker.failed.get(request.topic, 0) + 1
            if failed <= int(labels.get("times", "1")):
                await context.abort(grpc.StatusCode[labels["error"].upper()], "an error that a test asked for")
        if request.ByteSize() > LARGEST_REQUEST or not request.messages:
            await reject(context, "the request is too large, or empty")
        for message in request.messages:
            if problem := problem_of(message):
                await reject(context, problem)
        ids = [self._broker.publish(request.topic, message) for message in request.messages]
        return pubsub.PublishResponse.pb()(message_ids=ids)

    async def pull(self, request: Any, context: Any) -> Any:
        await self._check_exists(self._broker.subscriptions, request.subscription, context)
        received, deadline = list[Any](), time.monotonic() + 1
        while not received and time.monotonic() < deadline:
            received = self._broker.lease(request.subscription, request.max_messages)
            await asyncio.sleep(0 if received else PAUSE_SECONDS)
        return pubsub.PullResponse.pb()(received_messages=received)

    async def streaming_pull(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        first = await anext(requests)
        name, seconds = first.subscription, first.stream_ack_deadline_seconds
        await self._check_exists(self._broker.subscriptions, name, context)
        settings = self._broker.subscriptions[name].settings
        reading = asyncio.create_task(self._read(name, requests))
        try:
            while not reading.done():
                if received := self._broker.lease(name, 100, seconds):
                    answer = pubsub.StreamingPullResponse.pb()(received_messages=received)
                    answer.subscription_properties.exactly_once_delivery_enabled = settings.enable_exactly_once_delivery
                    answer.subscription_properties.message_ordering_enabled = settings.enable_message_ordering
                    yield answer
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            reading.cancel()

    async def _read(self, name: str, requests: AsyncIterator[Any]) -> None:
        async for request in requests:
            self._acknowledge(name, request.ack_ids)
            for ack_id, seconds in zip(request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=True):
                self._extend(name, ack_id, seconds)

    async def acknowledge(self, request: Any, context: Any) -> Any:
        await self._check_exists(self._broker.subscriptions, request.subscription, context)
        self._acknowledge(request.subscription, request.ack_ids)
        return Empty()

    async def modify_ack_deadline(self, request: Any, context: Any) -> Any:
        await self._check_exists(self._broker.subscriptions, request.subscription, context)
        for ack_id in request.ack_ids:
            self._extend(request.subscription, ack_id, request.ack_deadline_seconds)
        return Empty()

    def _acknowledge(self, name: str, ack_ids: Any) -> None:
        for ack_id in ack_ids:
            entry = self._broker.subscriptions[name].entry_of(ack_id)
            if entry is not None:
                self._broker.do("ack", name, entry.message.message_id)

    def _extend(self, name: str, ack_id: str, seconds: float) -> None:
        """Extend a lease, or end it: a nack is a lease of no seconds."""
        entry = self._broker.subscriptions[name].entry_of(ack_id)
        if entry is not None:
            entry.leased_until = time.monotonic() + seconds

    async def _check_exists(self, known: dict[str, Any], name: str, context: Any) -> None:
        if name not in known:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"Resource not found ({name})")

    async def _check_is_new(self, known: dict[str, Any], name: str, context: Any) -> None:
        if name in known:
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, f"Resource already exists ({name})")


def problem_of(message: Any) -> str | None:
    """Return what the service would not accept in a message."""
    if not message.data and not message.attributes:
        return "a message must have data or an attribute"
    if len(message.attributes) > MOST_ATTRIBUTES:
        return "a message has too many attributes"
    for key, value in message.attributes.items():
        if not key or len(key.encode()) > LONGEST_KEY or len(value.encode()) > LONGEST_VALUE:
            return "an attribute is too long"
    return None


def passes_filter(condition: str, message: Any) -> bool:
    """Say whether a subscription with this filter gets a message. Only `attributes.name="value"` is understood."""
    name, _, value = condition.removeprefix("attributes.").partition("=")
    return not condition or message.attributes.get(name) == json.loads(value)


async def reject(context: Any, problem: str) -> NoReturn:
    """End a call with the error that the service has for a request that is not valid."""
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)
    raise AssertionError("abort does not return")


def _unary(method: Callable[..., Awaitable[Any]], request: Any, answer: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(method, request.FromString, answer.SerializeToString)


async def serve(folder: str, port: int) -> None:
    """Serve until the process is killed."""
    api = Api(Broker(Path(folder, "journal")))
    topic, subscription = pubsub.Topic.pb(), pubsub.Subscription.pb()
    stream_request, stream_answer = pubsub.StreamingPullRequest.pb(), pubsub.StreamingPullResponse.pb()
    publisher = {
        "CreateTopic": _unary(api.create_topic, topic, topic),
        "GetTopic": _unary(api.get_topic, pubsub.GetTopicRequest.pb(), topic),
        "Publish": _unary(api.publish, pubsub.PublishRequest.pb(), pubsub.PublishResponse.pb()),
    }
    subscriber = {
        "Acknowledge": _unary(api.acknowledge, pubsub.AcknowledgeRequest.pb(), Empty),
        "CreateSubscription": _unary(api.create_subscription, subscription, subscription),
        "UpdateSubscription": _unary(api.update_subscription, pubsub.UpdateSubscriptionRequest.pb(), subscription),
        "DeleteSubscription": _unary(api.delete_subscription, pubsub.DeleteSubscriptionRequest.pb(), Empty),
        "ModifyAckDeadline": _unary(api.modify_ack_deadline, pubsub.ModifyAckDeadlineRequest.pb(), Empty),
        "Pull": _unary(api.pull, pubsub.PullRequest.pb(), pubsub.PullResponse.pb()),
        "StreamingPull": grpc.stream_stream_rpc_method_handler(
            api.streaming_pull, stream_request.FromString, stream_answer.SerializeToString
        ),
    }
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 2 * LARGEST_REQUEST)])
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", publisher),
            grpc.method_handlers_generic_handler("google.pubsub.v1.Subscriber", subscriber),
        )
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
