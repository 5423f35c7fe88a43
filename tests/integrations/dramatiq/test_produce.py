"""Enqueuing messages: which are counted, and with which options they are sent."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import boto3
import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from asyncdsm.core.edge import Edge
from asyncdsm.testing import Captured
from tests import by_hand
from tests.brokers.aws import Aws


def stored(broker: Any, queue: str = "default") -> list[dramatiq.Message[Any]]:
    """Return the messages in a queue of a broker in memory."""
    return [dramatiq.Message.decode(each) for each in list(broker.queues[queue].queue)]


def test_message_is_stored_with_a_context_and_the_callers_message_stays(stub: Any, captured_streams: Captured) -> None:
    @dramatiq.actor(broker=stub)
    def work() -> None: ...

    message = work.message_with_options(mine=1)
    assert stub.enqueue(message) is message
    assert message.options == {"mine": 1}
    (sent,) = stored(stub)
    (made,) = captured_streams.produced()
    assert (sent.options["mine"], sent.message_id) == (1, message.message_id)
    pathway = Pathway.decode_base64(sent.options[HEADER])
    assert pathway is not None
    assert pathway.hash == made.hash
    assert (made.topic, made.tag("direction"), made.parent) == ("default", "out", 0)


def test_message_that_could_not_be_sent_is_not_counted(stub: Any, captured_streams: Captured) -> None:
    with pytest.raises(dramatiq.QueueNotFound):
        stub.enqueue(dramatiq.Message("nowhere", "work", (), {}, {}))
    assert captured_streams.checkpoints == []
    by_hand.produce(Edge("direction:out", "topic:t", "type:kafka"))
    assert len(captured_streams.checkpoints) == 1  # the flow that failed counts on


def test_message_that_is_sent_again_gets_a_context_of_its_own(stub: Any, captured_streams: Captured) -> None:
    @dramatiq.actor(broker=stub)
    def work() -> None: ...

    message = work.message()
    stub.enqueue(message)
    with current.restored(Pathway(7, 1, 1)):
        stub.enqueue(message.copy(options=stored(stub)[0].options))
    first, second = stored(stub)
    assert first.options[HEADER] != second.options[HEADER]
    assert len(captured_streams.produced()) == 2


@pytest.mark.parametrize("value", [5, None, b"b", ["x"]], ids=repr)
def test_option_with_the_name_of_the_context_is_replaced(stub: Any, value: Any, captured_streams: Captured) -> None:
    @dramatiq.actor(broker=stub)
    def work() -> None: ...

    work.send_with_options(**{HEADER: value})
    (sent,) = stored(stub)
    assert Pathway.decode_base64(sent.options[HEADER]) is not None


def test_message_that_takes_no_context_is_sent_unchanged_and_counted(captured_streams: Captured) -> None:
    seen = list[Any]()

    class Odd:
        queue_name, options = "q", None

        def copy(self, **_: Any) -> None:
            raise TypeError("no options")

    class RecordingBroker(StubBroker):
        def enqueue(self, message: Any, *, delay: int | None = None) -> Any:
            seen.append(message)
            return message

    message: Any = Odd()
    asyncdsm.wrap(RecordingBroker()).enqueue(message)
    assert seen == [message]
    assert len(captured_streams.produced()) == captured_streams.stats().not_propagated == 1


@pytest.mark.parametrize("kind", ["stub", "redis"])
@pytest.mark.parametrize("delay", [None, 60_000])
def test_sender_and_middlewares_see_what_they_would_without_asyncdsm(
    make_broker: Any, captured_streams: Captured, kind: str, delay: int | None
) -> None:
    class Tracing(dramatiq.Middleware):
        def __init__(self) -> None:
            self.seen = list[Any]()

        def before_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
            message.options["trace"] = "1"
            self.seen += [set(message.options), HEADER.encode() in message.encode()]

        def after_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
            self.seen += [set(message.options), HEADER.encode() in message.encode()]

    tracing, broker = Tracing(), asyncdsm.wrap(make_broker(kind))
    broker.add_middleware(tracing)

    @dramatiq.actor(broker=broker, queue_name=f"queue-{uuid4().hex}")
    def work() -> None: ...

    message = work.message()
    sent = broker.enqueue(message, delay=delay)
    added = {"trace"} | ({"redis_message_id"} if kind == "redis" else set()) | ({"eta"} if delay else set())
    assert set(sent.options) == added
    assert (sent is message) == (kind == "stub" and delay is None)
    assert tracing.seen == [added, False] * 2
    assert HEADER.encode() not in sent.encode()
    if kind == "stub":
        (kept,) = stored(broker, sent.queue_name)
        assert set(kept.options) == added | {HEADER}
    assert len(captured_streams.produced(work.queue_name)) == 1
    assert captured_streams.stats().not_propagated == 0


def test_message_that_a_middleware_sends_meanwhile_counts_too(stub: Any, captured_streams: Captured) -> None:
    class Audit(dramatiq.Middleware):
        def before_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
            if message.actor_name == "work":
                audit.send()

    stub.add_middleware(Audit())

    @dramatiq.actor(broker=stub)
    def audit() -> None: ...

    @dramatiq.actor(broker=stub)
    def work() -> None: ...

    work.send()
    assert all(HEADER in message.options for message in stored(stub))
    assert len(captured_streams.produced()) == 2


def test_client_below_a_broker_counts_nothing(ministack: Aws, captured_streams: Captured) -> None:
    url, sqs = ministack.queue(), asyncdsm.wrap(boto3.client("sqs", **ministack.options))

    class SqsBroker(StubBroker):
        def enqueue(self, message: Any, *, delay: int | None = None) -> Any:
            sqs.send_message(QueueUrl=url, MessageBody=message.encode().decode())
            return message

    @dramatiq.actor(broker=asyncdsm.wrap(SqsBroker()))
    def work() -> None: ...

    work.send()
    sqs.close()
    assert [made.tag("type") for made in captured_streams.checkpoints] == ["dramatiq"]
