"""Shared by the tests of Google Pub/Sub: clients on the fake server, and what they are used for."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from string import ascii_lowercase
from time import monotonic, sleep
from typing import Any

import grpc
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.cloud.pubsub_v1.types import PublisherOptions
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient
from google.pubsub_v1 import PublisherClient as GeneratedPublisher
from google.pubsub_v1.services.publisher.transports.grpc import PublisherGrpcTransport
from google.pubsub_v1.services.publisher.transports.grpc_asyncio import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber.transports.grpc import SubscriberGrpcTransport
from google.pubsub_v1.services.subscriber.transports.grpc_asyncio import SubscriberGrpcAsyncIOTransport

from tests.brokers.pubsub import PubSubServer

# A channel that has lost its server tries again at once, and not after a second or more.
OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.max_receive_message_length", -1),
]


def make_publisher(address: str, kind: Any = PublisherClient, **options: Any) -> Any:
    """Return a publisher that is not followed."""
    transport = PublisherGrpcTransport(channel=grpc.insecure_channel(address, OPTIONS))
    more = {"publisher_options": PublisherOptions(**options)} if options else {}
    return kind(transport=transport, **more)


def make_subscriber(address: str, kind: Any = SubscriberClient) -> Any:
    """Return a subscriber that is not followed."""
    return kind(transport=SubscriberGrpcTransport(channel=grpc.insecure_channel(address, OPTIONS)))


@contextmanager
def publishing(address: str, kind: Any = PublisherClient, **options: Any) -> Iterator[Any]:
    """Yield such a publisher, and close it at the end."""
    publisher = make_publisher(address, kind, **options)
    try:
        yield publisher
    finally:
        if kind is not GeneratedPublisher:
            publisher.stop()
        publisher.transport.close()


@contextmanager
def subscribing(address: str, kind: Any = SubscriberClient) -> Iterator[Any]:
    """Yield such a subscriber, and close it at the end."""
    subscriber = make_subscriber(address, kind)
    try:
        yield subscriber
    finally:
        subscriber.transport.close()


def make_async_publisher(address: str) -> PublisherAsyncClient:
    channel = grpc.aio.insecure_channel(address, OPTIONS)
    return PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))


def make_async_subscriber(address: str) -> SubscriberAsyncClient:
    channel = grpc.aio.insecure_channel(address, OPTIONS)
    return SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))


class Names:
    """Topics with one subscription each, which are made on the server by clients that are not followed."""

    def __init__(self, server: PubSubServer, publisher: Any, subscriber: Any) -> None:
        self.address = server.address
        self.publisher, self.subscriber = publisher, subscriber

    def make(self, labels: dict[str, str] | None = None, **settings: Any) -> tuple[str, str]:
        """Make a topic and its subscription, and return their names. They have no digits, which could be an id."""
        word = "".join(random.choices(ascii_lowercase, k=12))
        topic, subscription = f"projects/p/topics/{word}", f"projects/p/subscriptions/{word}"
        self.publisher.create_topic(request={"name": topic, "labels": labels or {}})
        self.subscriber.create_subscription(request={"name": subscription, "topic": topic, **settings})
        return topic, subscription

    def send(self, topic: str, *bodies: bytes, **attributes: str) -> None:
        """Publish messages that nobody follows."""
        messages = [{"data": body, "attributes": attributes} for body in bodies]
        self.publisher._gapic_publish(request={"topic": topic, "messages": messages})

    def read(self, subscription: str, count: int = 1) -> list[Any]:
        """Return messages as they are on the wire, acknowledged."""
        found = list[Any]()
        while len(found) < count:
            request = {"subscription": subscription, "max_messages": count - len(found)}
            received = list(self.subscriber.pull(request=request).received_messages)
            if received:
                ack_ids = [each.ack_id for each in received]
                self.subscriber.acknowledge(request={"subscription": subscription, "ack_ids": ack_ids})
            found += [each.message for each in received]
        return found


def wait_until(holds: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for what other threads do: a future has its result just before its callbacks are called."""
    deadline = monotonic() + seconds
    while not holds():
        assert monotonic() < deadline
        sleep(0.001)


@contextmanager
def streaming(subscriber: Any, subscription: str, callback: Callable[[Any], Any], **more: Any) -> Iterator[Any]:
    """Stream to a callback for as long as the block lasts, and wait until its threads have ended."""
    future = subscriber.subscribe(subscription, callback, await_callbacks_on_shutdown=True, **more)
    try:
        yield future
    finally:
        future.cancel()
        future.result(timeout=30)
