"""Apache Kafka is killed and started again under load: what was sent and what was received counts exactly."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaConnectionError

import asyncdsm
from asyncdsm import DataStreams, Settings
from tests.brokers.kafka import Kafka, make_coordinator
from tests.brokers.kafka_cluster import Node
from tests.brokers.kafka_program import PROPERTIES, START_SECONDS, make_addresses
from tests.brokers.process import free_port, memory
from tests.intake import counted, running_intake

MESSAGES, PATIENCE_SECONDS = 400, 60
SERVER = {**PROPERTIES, "broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "250"}
"""The server takes a node back when the session that it had before has ended."""
CLIENT: dict[str, Any] = {"reconnect_backoff_ms": 20, "reconnect_backoff_max_ms": 100, "retry_backoff_ms": 50}


@pytest.fixture
def node() -> Iterator[Node]:
    """An Apache Kafka of the test's own, which keeps its port and its storage."""
    with TemporaryDirectory(prefix="asyncdsm-", dir=memory()) as folder:
        ports = {"PLAINTEXT": free_port(), "CONTROLLER": free_port()}
        node = Node(1, ports["PLAINTEXT"], f"{folder}/1", {**SERVER, **make_addresses(ports)})
        node.start()
        try:
            yield node
        finally:
            node.kill()


class Load:
    """Sends every number once, and receives until all that were acknowledged have come."""

    def __init__(self, kafka: Kafka, opened: ExitStack) -> None:
        self.topic, self.deliveries = kafka.topic(), 0
        self.seen, self.is_over = Counter[int](), threading.Event()
        self.producer = asyncdsm.wrap(KafkaProducer(bootstrap_servers=kafka.bootstrap, **CLIENT))
        opened.callback(self.producer.close)
        self.consumer = asyncdsm.wrap(
            KafkaConsumer(
                self.topic,
                bootstrap_servers=kafka.bootstrap,
                group_id=self.topic,
                auto_offset_reset="earliest",
                session_timeout_ms=6_000,
                **CLIENT,
            )
        )
        opened.callback(self.consumer.close)

    def send_all(self) -> None:
        """Send one message each millisecond, and wait until all of them are acknowledged."""
        futures = []
        for number in range(MESSAGES):
            futures.append(self.producer.send(self.topic, b"%d" % number))
            time.sleep(0.001)
        for future in futures:
            future.get(START_SECONDS + PATIENCE_SECONDS)

    def receive_all(self) -> None:
        """Poll until every number was seen.

        While there is no server, `poll` raises, if it happens to ask then who coordinates the group. It has a second:
        kafka-python 3.0.12 forgets its partitions if the time of a poll ends while it joins the group again because it
        has just learned of them.
        """
        while len(self.seen) < MESSAGES and not self.is_over.is_set():
            with suppress(KafkaConnectionError):
                for batch in self.consumer.poll(timeout_ms=1_000).values():
                    for record in batch:
                        self.deliveries += 1
                        self.seen[int(record.value)] += 1

    def wait_until(self, share: float) -> None:
        """Wait until this share of all numbers was seen."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.seen) < share * MESSAGES and time.monotonic() < deadline:
            time.sleep(0.005)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # kafka-python leaves those of lost connections
def test_each_message_sent_and_each_delivery_count_once_over_a_kill(
    node: Node, opened: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL + 1)  # the client logs lost connections
    kafka = Kafka(f"127.0.0.1:{node.port}")
    make_coordinator(kafka.bootstrap)
    with running_intake() as intake:
        with DataStreams(Settings(service="s", agent_url=intake.url)) as streams:
            load = Load(kafka, opened)
            working = [threading.Thread(target=work) for work in (load.send_all, load.receive_all)]
            for thread in working:
                thread.start()
            load.wait_until(1 / 4)
            node.kill()
            assert len(load.seen) < MESSAGES
            node.start()
            load.wait_until(1)
            load.is_over.set()
            for thread in working:
                thread.join()
            opened.close()
        stats = streams.stats
        assert len(load.seen) == MESSAGES
        assert counted(intake.payloads, "direction:out") == MESSAGES
        assert counted(intake.payloads, "direction:in") == load.deliveries >= MESSAGES
        assert (stats.errors, stats.dropped, stats.pending) == (0, 0, 0)
        assert stats.recorded == stats.delivered == MESSAGES + load.deliveries
