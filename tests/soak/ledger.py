"""The part of the program that blocks: a receipt for each mail goes to RabbitMQ by Kombu, and on by confluent-kafka.

Four checkpoints for each, in three threads; every counter is one thread's own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from kombu.connection import Connection
from kombu.entity import Queue

import asyncdsm

RECEIPTS = Queue("receipts", auto_delete=True, durable=False)
TURN_SECONDS = 0.2


class Ledger:
    """Its threads run until it is closed."""

    def __init__(self, amqp: str, kafka: str, topic: str) -> None:
        self.noted = self.taken = self.booked = self.audited = 0
        self.failures: list[str] = []
        self._amqp, self._kafka, self._topic = amqp, {"bootstrap.servers": kafka}, topic
        self._noting: Any = asyncdsm.wrap(Connection(amqp))
        self._is_over = threading.Event()

    @property
    def made(self) -> int:
        """The checkpoints of its threads."""
        return self.noted + self.taken + self.booked + self.audited

    def note(self, receipt: str) -> None:
        """Send a receipt: called in any thread, one at a time."""
        self._noting.Producer().publish(receipt, routing_key=RECEIPTS.name, declare=[RECEIPTS])
        self.noted += 1

    @contextmanager
    def running(self) -> Iterator[None]:
        """Book and audit inside the block."""
        threads = [threading.Thread(target=self._watched, args=(work,)) for work in (self._book, self._audit)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join()
            self._noting.release()

    def _watched(self, work: Any) -> None:
        try:
            work()
        except Exception as error:
            self.failures.append(repr(error))

    def _book(self) -> None:
        """Take receipts from RabbitMQ and send their bookings to Kafka."""
        producer: Any = asyncdsm.wrap(Producer(self._kafka))

        def take(body: Any, message: Any) -> None:
            self.taken += 1
            producer.produce(self._topic, str(body), partition=0)
            self.booked += 1
            producer.poll(0)
            message.ack()

        with asyncdsm.wrap(Connection(self._amqp)) as connection, connection.Consumer(RECEIPTS, callbacks=[take]):
            while not self._is_over.is_set():
                with suppress(TimeoutError):
                    connection.drain_events(timeout=TURN_SECONDS)
        producer.flush(30)

    def _audit(self) -> None:
        """Read the bookings."""
        consumer: Any = asyncdsm.wrap(Consumer({**self._kafka, "group.id": "audit", "enable.auto.commit": False}))
        consumer.assign([TopicPartition(self._topic, 0, 0)])
        while not self._is_over.is_set():
            message = consumer.poll(TURN_SECONDS)
            if message is not None and message.error() is None:
                self.audited += 1
        consumer.close()
