"""What dd-java-agent does with asyncdsm's messages, and asyncdsm with those of dd-java-agent, beyond the pipelines."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest
from boto3.session import Session
from confluent_kafka import Consumer, Producer

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.context import HEADER, LEGACY_HEADER
from asyncdsm.integration.formats.aws import queue_name
from asyncdsm.testing import Captured
from tests.brokers.aws import Aws
from tests.brokers.kafka import Kafka
from tests.integrations.confluent.clients import consumer_config, from_start, read
from tests.integrations.kafka.admin import group_lag
from tests.interop.java import RELAY
from tests.interop.watched import PATIENCE_SECONDS, SeenPoint, Watched, watched

SERVICE = "relay"
GROUP = f"relay-{SERVICE}"
PATHWAY = Pathway(0x1234_5678_9ABC_DEF0, 1_790_000_000_000_000_000, 1_790_000_001_000_000_000)
"""A pathway of another service, which the tests' messages continue."""


@pytest.fixture
def on_kafka(kafka: Kafka) -> Iterator[Watched]:
    with watched({"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap}) as found:
        yield found


def send(producer: Any, topic: str, body: bytes, *headers: tuple[str, bytes]) -> None:
    producer.produce(topic, body, headers=list(headers))
    producer.flush()


def receive(kafka: Kafka, topic: str, count: int) -> list[Any]:
    consumer = asyncdsm.wrap(Consumer)(consumer_config(kafka))
    messages = read(from_start(consumer, topic), count)
    consumer.close()
    return messages


def grandparents(hashes: list[int], *points: list[SeenPoint]) -> list[int]:
    """Return the parent of each hash's parent, among the points of a relay."""
    parents = {point.hash: point.parent for each in points for point in each}
    return [parents[parents[hash_]] for hash_ in hashes]


def test_records_of_one_poll_continue_each_its_own_pathway(
    kafka: Kafka, topic: Callable[..., str], on_kafka: Watched, captured_streams: Captured
) -> None:
    source, target = topic(), topic()
    producer = asyncdsm.wrap(Producer({"bootstrap.servers": kafka.bootstrap}))
    send(producer, source, b"to learn the cluster")
    captured_streams.clear()
    for number in range(1, 6):
        current.set_current(Pathway(number, *PATHWAY[1:]))
        send(producer, source, b"%d" % number)
    current.set_current(None)
    on_kafka.relay(RELAY, f"kafka:{source}", f"kafka:{target}", 6, SERVICE)
    assert [message.value() for message in receive(kafka, target, 6)][1:] == [b"1", b"2", b"3", b"4", b"5"]
    written = [made.hash for made in captured_streams.produced(source)]
    consumed = [made.parent for made in captured_streams.consumed(target)][1:]
    read_, sent = on_kafka.points("direction:in"), on_kafka.points("direction:out")
    assert grandparents(consumed, read_, sent) == written
    assert len(set(written)) == 5
    assert [point.count for point in (*read_, *sent)] == [1] * 12
    assert captured_streams.stats().malformed == 0


def test_context_that_java_cannot_read_begins_a_pathway(
    kafka: Kafka, topic: Callable[..., str], on_kafka: Watched
) -> None:
    """It reads only the base64 text, which is what asyncdsm writes, and of several headers one that it can read."""
    source, text = topic(), PATHWAY.encode_base64().encode()
    bare: Any = Producer({"bootstrap.servers": kafka.bootstrap})
    send(bare, source, b"no context")
    send(bare, source, b"malformed", (HEADER, b"!!!!"))
    send(bare, source, b"no origin", (HEADER, b64encode(PATHWAY.encode()[:8])))
    send(bare, source, b"no last checkpoint", (HEADER, b64encode(PATHWAY.encode()[:14])))
    send(bare, source, b"legacy", (LEGACY_HEADER, PATHWAY.encode()))
    send(bare, source, b"both", (LEGACY_HEADER, PATHWAY.encode()), (HEADER, text))
    send(bare, source, b"malformed first", (HEADER, b"!!!!"), (HEADER, text))
    on_kafka.relay(RELAY, f"kafka:{source}", "-", 7, SERVICE)
    assert on_kafka.counts_by_parent("direction:in") == {0: 5, PATHWAY.hash: 2}


def test_lag_of_a_java_group_is_what_the_admin_client_says(
    kafka: Kafka, topic: Callable[..., str], on_kafka: Watched
) -> None:
    """It reads five messages and sends them to the same topic: of its ten messages, it is five behind."""
    name = topic()
    for _ in range(5):
        send(Producer({"bootstrap.servers": kafka.bootstrap}), name, b"v")
    on_kafka.relay(RELAY, f"kafka:{name}", f"kafka:{name}", 5, SERVICE)
    on_kafka.settle()
    cluster = on_kafka.answer("topology")["queues"][0]["cluster"]
    assert on_kafka.lags() == [(GROUP, name, cluster, group_lag(kafka, GROUP, name))]
    assert group_lag(kafka, GROUP, name) == 5
    (edge,) = [edge for edge in on_kafka.answer("topology")["edges"] if edge["direction"] == "in"]
    assert (edge["lag"], edge["count"]) == (5, 5)


@pytest.fixture
def session(captured_streams: Captured) -> Any:
    return asyncdsm.wrap(Session())


def receive_all(sqs: Any, queue: str, count: int) -> None:
    deadline = monotonic() + PATIENCE_SECONDS
    while count:
        assert monotonic() < deadline, f"{count} messages were not received"
        answer = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1, MaxNumberOfMessages=10)
        count -= len(list(answer.get("Messages", ())))


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "notification"])
def test_message_passes_sns_and_sqs_with_java_between_them(
    raw: bool, ministack: Aws, moto: Aws, session: Any, captured_streams: Captured
) -> None:
    """Java does not read the context of a notification: there a pathway begins. It counts twice what it publishes."""
    aws = ministack if raw else moto
    source, target = aws.queue(), aws.queue()
    arn, onward = aws.topic(source, raw=raw), aws.topic(target, raw=raw)
    sns, sqs = (session.client(service, **aws.options) for service in ("sns", "sqs"))
    sns.publish(TopicArn=arn, Message="1")
    sqs.send_message(QueueUrl=source, MessageBody="2")
    over_sns, over_sqs = (made.hash for made in captured_streams.produced())
    captured_streams.clear()
    with watched({"AWS_ENDPOINT_URL": aws.endpoint}) as watch:
        watch.relay(RELAY, f"sqs:{source}", f"sns:{onward}", 2, SERVICE)
        read_ = watch.points("direction:in", f"topic:{queue_name(source)}", "type:sqs")
        sent = watch.points("direction:out", f"topic:{onward.rpartition(':')[2]}", "type:sns")
    receive_all(sqs, target, 2)
    consumed = [made.parent for made in captured_streams.consumed()]
    assert sorted(grandparents(consumed, read_, sent)) == sorted([over_sns if raw else 0, over_sqs])
    assert [point.count for point in read_] == [1, 1]
    assert [point.count for point in sent] == [2, 2]


def test_messages_that_java_receives_at_once_all_continue_the_first(
    ministack: Aws, session: Any, captured_streams: Captured
) -> None:
    queue = ministack.queue()
    sqs = session.client("sqs", **ministack.options)
    for number in range(1, 4):
        current.set_current(Pathway(number, *PATHWAY[1:]))
        sqs.send_message(QueueUrl=queue, MessageBody="v")
    with watched({"AWS_ENDPOINT_URL": ministack.endpoint}) as watch:
        watch.relay(RELAY, f"sqs-batch:{queue}", "-", 3, SERVICE)
        (point,) = watch.points("direction:in")
    assert (point.parent, point.count) == (captured_streams.produced()[0].hash, 3)
