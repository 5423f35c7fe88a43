"""The right parent, whatever other threads do at the same time: checked on the broker."""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import sleep, time_ns
from typing import Any

from confluent_kafka import TopicPartition

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.confluent.clients import (
    bare_class,
    consumer_config,
    contexts,
    from_start,
    make,
    on_broker,
    read,
    until,
)

Topic = Callable[..., str]
THREADS, EACH, BATCH = 64, 10, 500


def fill(kafka: Kafka, topic: str, count: int, partitions: int = 1) -> None:
    """Put messages on a topic, number n with the pathway hash n + 1, so that a wrong parent cannot look right."""
    bare = bare_class("Producer")({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    for number in range(count):
        context = Pathway(number + 1, time_ns(), time_ns()).encode_base64().encode()
        bare.produce(topic, str(number), partition=number % partitions, headers=[(HEADER, context)])
    assert bare.flush(60) == 0


def check(kafka: Kafka, captured: Captured, source: str, target: str, count: int) -> None:
    """Walk back from each message on the broker: to its checkpoint, to that of the message it was made of."""
    consumed = {made.hash: made.parent - 1 for made in captured.consumed(source)}
    produced = {made.hash: consumed[made.parent] for made in captured.produced(target)}
    messages = on_broker(kafka, target, count)
    assert sorted(int(message.value()) for message in messages) == list(range(count))
    for message in messages:
        (context,) = contexts(message)
        assert produced[context.hash] == int(message.value())
    assert [len(captured.consumed(source)), len(captured.produced(target))] == [count, count]


def test_parent_is_right_in_threads_that_poll_and_produce(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    """Each reads a partition of its own; all of them send by one producer."""
    source, target = topic(partitions=THREADS), topic()
    fill(kafka, source, THREADS * EACH, THREADS)
    producer, ready = make(way, kafka, "Producer"), threading.Barrier(THREADS)

    def work(partition: int) -> None:
        consumer = make(way, kafka, "Consumer", **consumer_config(kafka))
        from_start(consumer, source, partition)
        ready.wait(60)
        for _ in range(EACH):
            (message,) = read(consumer, 1)
            sleep(random.random() / 200)
            producer.produce(target, message.value())
            producer.poll(0)
        consumer.close()

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(work, range(THREADS)))
    assert producer.flush(60) == 0
    check(kafka, captured_streams, source, target, THREADS * EACH)


def batches(consumer: Any, count: int) -> Iterator[list[Any]]:
    left = count

    def batch() -> list[Any]:
        got: list[Any] = consumer.consume(BATCH, 1)
        return got

    while left > 0:
        messages = list[Any]()
        until(lambda: messages, lambda: messages.append(batch()))  # noqa: B023  (called here)
        left -= len(messages[0])
        yield messages[0]


def test_parent_is_right_in_a_plain_loop_over_batches(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    source, target = topic(), topic()
    fill(kafka, source, 2 * BATCH)
    producer = make(way, kafka, "Producer")
    consumer = from_start(make(way, kafka, "Consumer", **consumer_config(kafka)), source)
    for messages in batches(consumer, 2 * BATCH):
        for message in messages:
            producer.produce(target, message.value())
        assert asyncdsm.current_pathway() is None
    consumer.close()
    assert producer.flush(60) == 0
    check(kafka, captured_streams, source, target, 2 * BATCH)


def test_parent_is_right_in_batches_handed_to_workers(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    source, target, todo = topic(), topic(), queue.Queue[Any]()
    fill(kafka, source, BATCH)
    producer = make(way, kafka, "Producer")
    consumer = make(way, kafka, "Consumer", **consumer_config(kafka))
    consumer.assign([TopicPartition(source, 0, 0)])

    def work() -> None:
        while (message := todo.get()) is not None:
            with asyncdsm.using(message):
                sleep(random.random() / 200)
                producer.produce(target, message.value())

    with ThreadPoolExecutor(THREADS) as threads:
        for _ in range(THREADS):
            threads.submit(work)
        for messages in batches(consumer, BATCH):
            for message in messages:
                todo.put(message)
        for _ in range(THREADS):
            todo.put(None)
    consumer.close()
    assert producer.flush(60) == 0
    check(kafka, captured_streams, source, target, BATCH)
