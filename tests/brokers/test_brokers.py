"""Each broker carries a record, and nothing of it is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import PIPE
from time import monotonic, sleep
from urllib.parse import urlsplit

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, UnknownError, UnsupportedForMessageFormatError
from kombu.connection import Connection

from tests.brokers.apache_kafka import apache_kafka
from tests.brokers.aws import Aws
from tests.brokers.kafka import Kafka, users_own
from tests.brokers.ministack import ministack as run_ministack
from tests.brokers.mock_cluster import PRODUCE, MockCluster, mock_cluster
from tests.brokers.moto import moto as run_moto
from tests.brokers.process import BrokerError, bundled, running, serving
from tests.brokers.redis import redis as run_redis

HEADERS = [("empty", b""), ("twice", b"\x00\xff"), ("twice", "ü".encode())]
PROGRAM = """
import os, sys
from pathlib import Path
from tests.brokers.moto import moto as run_moto
from tests.brokers.apache_kafka import apache_kafka
from tests.brokers.process import running
with apache_kafka() as kafka:
    (guard,) = running
    (broker,) = Path(f"/proc/{guard}/task/{guard}/children").read_text().split()
    print(kafka.bootstrap, os.readlink(f"/proc/{broker}/cwd"), flush=True)
    sys.stdin.read()
"""


def listens(bootstrap: str) -> bool:
    host, _, port = bootstrap.partition(":")
    try:
        socket.create_connection((host, int(port))).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + 5
    while not condition():
        assert monotonic() < deadline
        sleep(0.005)


async def topics(kafka: Kafka) -> set[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        return set(await admin.list_topics())
    finally:
        await admin.close()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["kafka", "mock_kafka"])
def each(request: pytest.FixtureRequest) -> Kafka:
    broker: Kafka = request.getfixturevalue(request.param)
    return broker


async def test_kafka_carries_a_record(each: Kafka) -> None:
    topic = each.topic(partitions=3)
    async with AIOKafkaProducer(bootstrap_servers=each.bootstrap) as producer:
        assert await producer.partitions_for(topic) == {0, 1, 2}
        await producer.send_and_wait(topic, b"value", key=b"key", headers=HEADERS)
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=each.bootstrap, group_id=topic, auto_offset_reset="earliest"
    ) as consumer:
        record = await consumer.getone()
    assert (record.key, record.value, list(record.headers)) == (b"key", b"value", HEADERS)


async def test_two_topics_have_two_names(topic: Callable[..., str]) -> None:
    assert topic() != topic()


async def test_topics_on_the_users_own_kafka_are_deleted(kafka: Kafka) -> None:
    kept = kafka.topic()
    with users_own(kafka.bootstrap) as own:
        name = own.topic()
        assert {kept, name} <= await topics(kafka)
    assert name not in await topics(kafka)
    assert kept in await topics(kafka)


async def test_mock_cluster_returns_forced_errors(mock_kafka: MockCluster) -> None:
    topic = mock_kafka.topic()
    async with AIOKafkaProducer(bootstrap_servers=mock_kafka.bootstrap) as producer:
        mock_kafka.push_errors(PRODUCE, -1, 43)
        with pytest.raises(UnknownError):
            await producer.send_and_wait(topic, b"")
        with pytest.raises(UnsupportedForMessageFormatError):
            await producer.send_and_wait(topic, b"")
        mock_kafka.push_errors(PRODUCE, -1)
        mock_kafka.clear_errors(PRODUCE)
        await producer.send_and_wait(topic, b"")


async def test_mock_broker_stops_and_starts_again(mock_kafka: MockCluster) -> None:
    topic = mock_kafka.topic()
    mock_kafka.down()
    producer = AIOKafkaProducer(bootstrap_servers=mock_kafka.bootstrap)
    with pytest.raises(KafkaConnectionError):
        await producer.start()
    await producer.stop()
    mock_kafka.up()
    async with AIOKafkaProducer(bootstrap_servers=mock_kafka.bootstrap) as producer:
        mock_kafka.delay(5)
        await producer.send_and_wait(topic, b"")


@pytest.mark.parametrize("broker", [apache_kafka, mock_cluster])
def test_nothing_listens_after_the_block(broker: Callable[[], AbstractContextManager[Kafka]]) -> None:
    with broker() as kafka:
        assert listens(kafka.bootstrap)
    assert not listens(kafka.bootstrap)


@pytest.mark.parametrize("run", [run_ministack, run_moto])
def test_aws_emulators_carry_a_message(run: Callable[[], AbstractContextManager[Aws]]) -> None:
    with run() as aws:
        queue = aws.queue()
        aws.bare("sns").publish(TopicArn=aws.topic(queue, raw=True), Message="message")
        assert [message["Body"] for message in aws.on_queue(queue)] == ["message"]
        address = aws.endpoint.removeprefix("http://")
        assert listens(address)
    assert not listens(address)


def test_redis_carries_a_message() -> None:
    with run_redis() as url, Connection(url) as connection:
        queue = connection.SimpleQueue("queue")
        queue.put("message", headers={"name": "value"})
        message = queue.get(timeout=30)
        message.ack()
        assert (message.payload, message.headers) == ("message", {"name": "value"})
        queue.close()
    assert not listens(urlsplit(url).netloc)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_broker_ends_with_the_process_that_started_it(end: signal.Signals) -> None:
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        bootstrap, folder = process.stdout.readline().split()
        assert listens(bootstrap)
        process.send_signal(end)
    wait_until(lambda: not listens(bootstrap) and not Path(folder).exists())


def test_broker_ends_with_its_guard() -> None:
    before = set(running)
    with apache_kafka() as kafka:
        (guard,) = running - before
        os.kill(guard, signal.SIGTERM)
        wait_until(lambda: not listens(kafka.bootstrap))


def test_missing_program_is_an_error() -> None:
    with pytest.raises(BrokerError, match="no_such_package is not installed"):
        bundled("no_such_package", "program")


def test_server_that_does_not_start_says_why() -> None:
    with (
        pytest.raises(BrokerError, match="no memory"),
        serving(lambda _: ["sh", "-c", "echo no memory; exit 3"]),
    ):
        pass
