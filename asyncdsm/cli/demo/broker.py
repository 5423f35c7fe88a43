"""Kafka for the demo: one in this process, or a check that the broker that the user named is listening."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from confluent_kafka import Producer

from asyncdsm.errors import AsyncDSMError

CONNECT_SECONDS = 5.0


class NoBrokerError(AsyncDSMError, RuntimeError):
    """Nothing listens at the address that the user gave for a broker."""


@contextmanager
def run_kafka(topics: tuple[str, ...]) -> Iterator[str]:
    """Run a Kafka with these topics during the block; yields its address, on a free port of the loopback interface.

    It is the mock cluster of librdkafka, which the wheel of confluent-kafka contains.
    """
    cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    brokers = cluster.list_topics(timeout=10).brokers
    for topic in topics:
        cluster.list_topics(topic, timeout=10)  # the mock cluster creates each topic that it is asked for
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers.values())
    cluster.flush(1)


def check_listening(broker: str, addresses: str, default_port: int) -> None:
    """Check that something listens at one of these addresses, `HOST:PORT` or URLs, with commas in between.

    `broker` is its name in the message. Raises NoBrokerError, with the problem at each address.
    """
    problems = []
    for address in addresses.split(","):
        parts = urlsplit(address if "://" in address else f"//{address}")
        where = parts.netloc.rpartition("@")[2]
        try:
            host, port = parts.hostname or "", parts.port or default_port
            where = f"{host}:{port}"
            with socket.create_connection((host, port), timeout=CONNECT_SECONDS):
                return
        except (OSError, ValueError) as error:
            problems.append(f"{where}: {getattr(error, 'strerror', None) or error}")
    raise NoBrokerError(f"no {broker} listens at {'; '.join(problems)}")
