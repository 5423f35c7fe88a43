"""Google Pub/Sub: which clients are followed by `wrap` and by `instrument`, and that each message counts once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any
from unittest.mock import AsyncMock, MagicMock, create_autospec

import pytest
from google.cloud.pubsub_v1 import PublisherClient, SchemaServiceClient, SubscriberClient
from google.cloud.pubsub_v1.publisher.client import Client as Publisher
from google.cloud.pubsub_v1.subscriber.client import Client as Subscriber
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient
from google.pubsub_v1 import PublisherClient as GeneratedPublisher
from google.pubsub_v1 import SubscriberClient as GeneratedSubscriber

import asyncdsm
from asyncdsm.errors import UnknownClientError
from asyncdsm.testing import Captured
from tests.brokers.pubsub import PubSubServer
from tests.integrations.pubsub.clients import Names, publishing, streaming, subscribing, wait_until

GENERATED = (PublisherAsyncClient, SubscriberAsyncClient, GeneratedPublisher, GeneratedSubscriber)
CLASSES = (Publisher, Subscriber, *GENERATED)
HANDWRITTEN_NAME, GENERATED_NAME = "google.cloud.pubsub_v1", "google.pubsub_v1"


@contextmanager
def instrumented(*names: str) -> Iterator[None]:
    for name in names:
        asyncdsm.instrument(name)
    try:
        yield
    finally:
        for name in names:
            asyncdsm.uninstrument(name)


def use(publisher: Any, subscriber: Any, bare: Names) -> None:
    """Send two messages, and receive one by a pull and one by a stream."""
    topic, subscription = bare.make()
    publisher.publish(topic, b"1").result(10)
    (received,) = subscriber.pull(subscription=subscription, max_messages=1).received_messages
    subscriber.acknowledge(subscription=subscription, ack_ids=[received.ack_id])
    seen = Queue[Any]()
    with streaming(subscriber, subscription, seen.put):
        publisher.publish(topic, b"2").result(10)
        seen.get(timeout=10).ack()


def counts(captured: Captured, expected: int) -> tuple[int, int]:
    """Return how many checkpoints were produced and consumed since the last call. Each consumed one has its parent."""
    wait_until(lambda: len(captured.produced()) >= expected)
    sent, read = captured.produced(), captured.consumed()
    assert {made.parent for made in read} <= {made.hash for made in sent}
    captured.clear()
    return len(sent), len(read)


def test_wrapped_clients_are_followed_and_others_are_not(
    publisher: Any, subscriber: Any, bare: Names, captured_streams: Captured
) -> None:
    assert asyncdsm.wrap(publisher) is publisher
    assert asyncdsm.wrap(subscriber) is subscriber
    use(publisher, subscriber, bare)
    assert counts(captured_streams, 2) == (2, 2)
    use(bare.publisher, bare.subscriber, bare)
    assert counts(captured_streams, 0) == (0, 0)


@pytest.mark.parametrize("names", [(HANDWRITTEN_NAME, GENERATED_NAME), (GENERATED_NAME, HANDWRITTEN_NAME)])
def test_instrument_follows_everything_until_uninstrument(
    bare: Names, captured_streams: Captured, names: tuple[str, str]
) -> None:
    before = [dict(vars(cls)) for cls in CLASSES]
    topic, subscription = bare.make()
    seen = Queue[Any]()
    with instrumented(*names):
        asyncdsm.instrument(names[0])  # a second time changes nothing
        use(bare.publisher, bare.subscriber, bare)
        assert counts(captured_streams, 2) == (2, 2)
        stream = streaming(bare.subscriber, subscription, seen.put)
        stream.__enter__()
    assert [dict(vars(cls)) for cls in CLASSES] == before
    bare.publisher.publish(topic, b"body").result(10)
    seen.get(timeout=10).ack()
    stream.__exit__(None, None, None)
    use(bare.publisher, bare.subscriber, bare)
    assert counts(captured_streams, 0) == (0, 0)


def test_generated_clients_are_followed_by_their_own_name(
    pubsub: PubSubServer, bare: Names, captured_streams: Captured
) -> None:
    topic, subscription = bare.make()
    with (
        publishing(pubsub.address, GeneratedPublisher) as publisher,
        subscribing(pubsub.address, GeneratedSubscriber) as subscriber,
        instrumented(GENERATED_NAME),
    ):
        asyncdsm.wrap(publisher).publish(topic=topic, messages=[{"data": b"1"}])  # alone of all, it must be wrapped
        assert len(subscriber.pull(subscription=subscription, max_messages=1).received_messages) == 1
    assert counts(captured_streams, 1) == (1, 1)


@pytest.mark.parametrize("is_wrapped_first", [True, False])
def test_wrapped_and_instrumented_counts_once(
    pubsub: PubSubServer, bare: Names, captured_streams: Captured, is_wrapped_first: bool
) -> None:
    with publishing(pubsub.address) as publisher, subscribing(pubsub.address) as subscriber:
        if is_wrapped_first:
            asyncdsm.wrap(publisher)
            asyncdsm.wrap(subscriber)
        with instrumented(HANDWRITTEN_NAME, GENERATED_NAME):
            asyncdsm.wrap(publisher)
            asyncdsm.wrap(subscriber)
            use(publisher, subscriber, bare)
            assert counts(captured_streams, 2) == (2, 2)
        use(publisher, subscriber, bare)
        assert counts(captured_streams, 2) == (2, 2)


def test_subclass_of_a_client_is_followed(pubsub: PubSubServer, bare: Names, captured_streams: Captured) -> None:
    class Own(PublisherClient):  # type: ignore[misc]
        def publish(self, *args: Any, **kwargs: Any) -> Any:
            return super().publish(*args, **kwargs)

    with publishing(pubsub.address, Own) as publisher, subscribing(pubsub.address) as subscriber:
        use(asyncdsm.wrap(publisher), asyncdsm.wrap(subscriber), bare)
        assert counts(captured_streams, 2) == (2, 2)
        with instrumented(HANDWRITTEN_NAME):
            use(publisher, subscriber, bare)
            assert counts(captured_streams, 2) == (2, 2)


def test_method_of_a_subclass_with_other_parameters_is_left_alone(
    pubsub: PubSubServer, bare: Names, captured_streams: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    class Terse(PublisherClient):  # type: ignore[misc]
        def publish(self, topic: str, body: bytes) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            return super().publish(topic, body)

    topic, subscription = bare.make()
    with publishing(pubsub.address, Terse) as publisher:
        asyncdsm.wrap(publisher).publish(topic, b"terse").result(10)
        assert dict(bare.read(subscription)[0].attributes) == {}
        assert captured_streams.checkpoints == []
        assert caplog.text.count("asyncdsm.wrap() cannot instrument") == 1
        with instrumented(HANDWRITTEN_NAME):
            publisher.publish(topic, b"terse").result(10)
            assert counts(captured_streams, 1) == (1, 0)


@pytest.mark.parametrize("make", [MagicMock, AsyncMock])
@pytest.mark.parametrize("spec", [PublisherClient, SubscriberClient, *GENERATED])
def test_wrap_returns_a_mock_unchanged(make: Any, spec: type) -> None:
    for mock in (make(spec=spec), create_autospec(spec, instance=True)):
        before = dict(vars(mock)), mock.mock_calls[:]
        assert asyncdsm.wrap(mock) is mock
        assert (dict(vars(mock)), mock.mock_calls[:]) == before


def test_other_client_of_the_package_is_named_in_the_error() -> None:
    with pytest.raises(UnknownClientError, match=r"of google.cloud.pubsub_v1 it takes a PublisherClient or a Subscr"):
        asyncdsm.wrap(SchemaServiceClient)


PROGRAM = """
import {imported}
import sys
from google.pubsub_v1 import PublisherAsyncClient
print(hasattr(PublisherAsyncClient.publish, "__asyncdsm_hook__"))
client = sys.modules.get("google.cloud.pubsub_v1.publisher.client")
print(client and hasattr(client.Client.publish, "__asyncdsm_hook__"))
"""


@pytest.mark.parametrize(
    ("imported", "printed"),
    [("google.cloud.pubsub_v1", "True True"), ("google.cloud.pubsub", "True True"), ("google.pubsub_v1", "True None")],
)
def test_asyncdsm_run_follows_the_clients_however_they_are_imported(imported: str, printed: str) -> None:
    """The handwritten clients import the generated ones, whose hooks are put on in the midst of that."""
    command = [sys.executable, "-m", "asyncdsm", "run", sys.executable, "-c", PROGRAM.format(imported=imported)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ}, check=False)
    assert (ran.stdout.split(), ran.returncode) == (printed.split(), 0), ran.stderr
    assert "could not instrument" not in ran.stderr
