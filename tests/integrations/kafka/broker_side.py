"""Messages that clients which are not followed put on Kafka, with and without a context."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import time_ns
from typing import Any

from asyncdsm import Pathway
from asyncdsm.core.context import HEADER
from tests.brokers.kafka import Kafka
from tests.integrations.confluent.clients import bare_class


def context_header(number: int) -> tuple[str, bytes]:
    """Return the header of a pathway whose hash is `number` + 1, and whose times are now."""
    return HEADER, Pathway(number + 1, time_ns(), time_ns()).wire()


def put_messages(kafka: Kafka, topic: str, numbers: Iterable[int], partitions: int = 1, **options: Any) -> None:
    """Produce a message for each number, which is its value and the hash - 1 of the pathway that it carries.

    They go to that many partitions by turns.
    """
    with bare_producer(kafka) as bare:
        for number in numbers:
            where = number % partitions
            bare.produce(topic, str(number), partition=where, headers=[context_header(number)], **options)


@contextmanager
def bare_producer(kafka: Kafka, **options: Any) -> Iterator[Any]:
    """A producer that is not followed; at the end, all its messages were acknowledged."""
    bare = bare_class("Producer")({"bootstrap.servers": kafka.bootstrap, "log_level": 0, **options})
    yield bare
    assert bare.flush(60) == 0
