"""`relay.py SOURCE TARGET COUNT`: a relay as a user of ddtrace would write it. See `tests/interop/relay.py`.

SOURCE may also be `sqs-batch:QUEUE_URL`, which receives up to ten messages at a time, and TARGET
`rabbitmq:EXCHANGE/ROUTING_KEY` or `sns:TOPIC_ARN`. It does not import asyncdsm.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from threading import Timer
from typing import Any

from boto3.session import Session
from confluent_kafka import Consumer, Producer
from kombu import Connection, Queue  # type: ignore[attr-defined]

GIVE_UP_SECONDS = 60.0
KAFKA = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "")
AMQP = os.environ.get("AMQP_URL", "")

Send = Callable[[bytes], object]


@contextmanager
def write_kafka(topic: str) -> Iterator[Send]:
    producer = Producer({"bootstrap.servers": KAFKA})

    def send(body: bytes) -> None:
        producer.produce(topic, body)
        producer.flush()

    yield send


@contextmanager
def write_rabbitmq(name: str) -> Iterator[Send]:
    exchange, _, key = name.rpartition("/")
    with Connection(AMQP) as connection:
        producer = connection.Producer()
        yield lambda body: producer.publish(body, exchange=exchange, routing_key=key)


@contextmanager
def write_sqs(url: str) -> Iterator[Send]:
    sqs: Any = Session().client("sqs")
    yield lambda body: sqs.send_message(QueueUrl=url, MessageBody=body.decode())


@contextmanager
def write_sns(arn: str) -> Iterator[Send]:
    sns: Any = Session().client("sns")
    yield lambda body: sns.publish(TopicArn=arn, Message=body.decode())


def read_kafka(topic: str, count: int) -> Iterator[bytes]:
    group = f"relay-{os.environ['DD_SERVICE']}"
    consumer = Consumer({"bootstrap.servers": KAFKA, "group.id": group, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic], on_assign=lambda *_: report_ready())
    while count:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            yield message.value() or b""
            count -= 1
    consumer.close()


def read_rabbitmq(name: str, count: int) -> Iterator[bytes]:
    """Hand out each message after its callback: ddtrace counts it there."""
    received = list[Any]()
    with Connection(AMQP) as connection:
        consumer = connection.Consumer(Queue(name, no_declare=True), callbacks=[lambda _, m: received.append(m)])
        consumer.qos(prefetch_count=1)
        with consumer:
            report_ready()
            for _ in range(count):
                while not received:
                    connection.drain_events()
                message = received.pop()
                yield bytes(message.body) if isinstance(message.body, bytes | memoryview) else message.body.encode()
                message.ack()


def read_sqs(url: str, count: int, most: int = 1) -> Iterator[bytes]:
    sqs: Any = Session().client("sqs")
    report_ready()
    while count:
        answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MaxNumberOfMessages=most)
        for message in answer.get("Messages", []):
            yield message["Body"].encode()
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            count -= 1


def make_messages(_: str, count: int) -> Iterator[bytes]:
    report_ready()
    for number in range(count):
        yield b"%d" % number


SOURCES: dict[str, Callable[[str, int], Iterator[bytes]]] = {
    "kafka": read_kafka,
    "rabbitmq": read_rabbitmq,
    "sqs": read_sqs,
    "sqs-batch": partial(read_sqs, most=10),
    "-": make_messages,
}
TARGETS: dict[str, Callable[[str], AbstractContextManager[Send]]] = {
    "kafka": write_kafka,
    "rabbitmq": write_rabbitmq,
    "sqs": write_sqs,
    "sns": write_sns,
    "-": lambda _: nullcontext(lambda _: None),
}


def report_ready() -> None:
    print("ready", flush=True)  # noqa: T201  # the contract of a relay


def give_up() -> None:
    os.write(2, b"the relay gave up after 60 s\n")
    os._exit(1)


def main(source: str, target: str, count: int) -> None:
    """Read `count` messages of the source one at a time, and send each to the target."""
    patience = Timer(GIVE_UP_SECONDS, give_up)
    patience.daemon = True
    patience.start()
    (reads, _, origin), (writes, _, destination) = source.partition(":"), target.partition(":")
    with TARGETS[writes](destination) as send:
        for body in SOURCES[reads](origin, count):
            send(body)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
