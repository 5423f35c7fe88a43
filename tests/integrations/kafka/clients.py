"""Both clients of Kafka behind one small interface, followed in each way. All of it is for the event loop."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka import KafkaException
from confluent_kafka import TopicPartition as ConfluentPartition

import asyncdsm
from tests.brokers.kafka import Kafka
from tests.integrations.confluent import clients as confluent

WAYS = (*(f"confluent_kafka, {way}" for way in confluent.WAYS), "aiokafka, wrap", "aiokafka, instrument")
POLL_SECONDS = 0.01
METADATA_MS = 500
"""How often aiokafka's clients ask for the metadata of their cluster; their default is five minutes."""


@dataclass(frozen=True)
class Login:
    """How a client shows who it is, and whom it trusts. Paths are those of PEM files."""

    protocol: str
    mechanism: str | None = None
    user: str | None = None
    password: str | None = None
    ca: str | None = None
    certificate: str | None = None
    """A certificate and its key, in one file."""

    def for_confluent(self) -> dict[str, Any]:
        """Return the settings of librdkafka."""
        settings = {
            "security.protocol": self.protocol,
            "sasl.mechanism": self.mechanism,
            "sasl.username": self.user,
            "sasl.password": self.password,
            "ssl.ca.location": self.ca,
            "ssl.certificate.location": self.certificate,
            "ssl.key.location": self.certificate,
        }
        return {name: value for name, value in settings.items() if value is not None}

    def for_aiokafka(self) -> dict[str, Any]:
        """Return the arguments of aiokafka's clients."""
        given: dict[str, Any] = {"security_protocol": self.protocol}
        if self.mechanism:
            given |= {"sasl_mechanism": self.mechanism}
            given |= {"sasl_plain_username": self.user, "sasl_plain_password": self.password}
        if self.ca:
            given["ssl_context"] = context = ssl.create_default_context(cafile=self.ca)
            if self.certificate:
                context.load_cert_chain(self.certificate)
        return given


OPEN = Login("PLAINTEXT")


class Producer(Protocol):
    """Sends to one partition."""

    async def send(self, topic: str, partition: int, value: bytes) -> asyncio.Future[int]:
        """Send a message. Returns its offset to be: the future has an exception if the broker did not accept it."""
        ...

    async def flush(self) -> None:
        """Wait until everything that was sent has been answered."""
        ...


class Consumer(Protocol):
    """Reads the topic of its group."""

    async def read(self) -> list[Any]:
        """Return the values of the next messages, after a moment also none."""
        ...

    async def commit(self) -> None:
        """Commit what was read."""
        ...


class Clients(Protocol):
    """The clients of one library, followed in one way."""

    def producing(self, kafka: Kafka, login: Login = OPEN, *, idempotent: bool = False) -> Any:
        """Run a producer that waits for all replicas, for as long as the block lasts."""
        ...

    def consuming(
        self,
        kafka: Kafka,
        topic: str,
        group: str,
        login: Login = OPEN,
        *,
        partitions: Sequence[int] = (),
        commits: bool = False,
    ) -> Any:
        """Run a consumer that reads from the beginning, and with `commits` commits by itself, too.

        It is a member of its group, unless it is given partitions: then it only commits for the group.
        """
        ...


class _ConfluentProducer:
    def __init__(self, client: Any) -> None:
        self._client = client

    async def send(self, topic: str, partition: int, value: bytes) -> asyncio.Future[int]:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def report(error: Any, message: Any) -> None:
            if error is None:
                answer.set_result(message.offset())
            else:
                answer.set_exception(KafkaException(error))

        self._client.produce(topic, value, partition=partition, on_delivery=report)
        self._client.poll(0)
        return answer

    async def flush(self) -> None:
        while len(self._client):
            self._client.poll(0)
            await asyncio.sleep(POLL_SECONDS)


class _ConfluentConsumer:
    def __init__(self, client: Any) -> None:
        self._client = client

    async def read(self) -> list[Any]:
        messages = self._client.consume(500, 0)
        if not messages:
            await asyncio.sleep(POLL_SECONDS)
        return [message.value() for message in messages if message.error() is None]

    async def commit(self) -> None:
        await asyncio.to_thread(self._client.commit, asynchronous=False)


class ConfluentClients:
    """Those of confluent-kafka."""

    def __init__(self, way: str) -> None:
        self._way = way

    @asynccontextmanager
    async def producing(
        self, kafka: Kafka, login: Login = OPEN, *, idempotent: bool = False
    ) -> AsyncIterator[_ConfluentProducer]:
        """Run a producer."""
        options = {"acks": "all", "enable.idempotence": idempotent, **login.for_confluent()}
        yield _ConfluentProducer(confluent.make(self._way, kafka, "Producer", **options))

    @asynccontextmanager
    async def consuming(
        self,
        kafka: Kafka,
        topic: str,
        group: str,
        login: Login = OPEN,
        *,
        partitions: Sequence[int] = (),
        commits: bool = False,
    ) -> AsyncIterator[_ConfluentConsumer]:
        """Run a consumer. One that was wrapped as an object reports no commits but explicit ones."""
        options = confluent.consumer_config(kafka, group, **login.for_confluent())
        consumer = confluent.make(self._way, kafka, "Consumer", **{**options, "enable.auto.commit": commits})
        if partitions:
            consumer.assign([ConfluentPartition(topic, number) for number in partitions])
        else:
            consumer.subscribe([topic])
        try:
            yield _ConfluentConsumer(consumer)
        finally:
            await asyncio.to_thread(consumer.close)


class _AIOKafkaProducer:
    def __init__(self, client: AIOKafkaProducer) -> None:
        self._client = client

    async def send(self, topic: str, partition: int, value: bytes) -> asyncio.Future[int]:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def report(done: asyncio.Future[Any]) -> None:
            error = done.exception()
            if error is None:
                answer.set_result(done.result().offset)
            else:
                answer.set_exception(error)

        (await self._client.send(topic, value, partition=partition)).add_done_callback(report)
        return answer

    async def flush(self) -> None:
        await self._client.flush()


class _AIOKafkaConsumer:
    def __init__(self, client: AIOKafkaConsumer) -> None:
        self._client = client

    async def read(self) -> list[Any]:
        batches = await self._client.getmany(timeout_ms=int(POLL_SECONDS * 1000))
        return [record.value for records in batches.values() for record in records]

    async def commit(self) -> None:
        await self._client.commit()


class AIOKafkaClients:
    """Those of aiokafka."""

    def __init__(self, way: str) -> None:
        self._wrap: Any = asyncdsm.wrap if way == "wrap" else lambda client: client

    @asynccontextmanager
    async def producing(
        self, kafka: Kafka, login: Login = OPEN, *, idempotent: bool = False
    ) -> AsyncIterator[_AIOKafkaProducer]:
        """Run a producer."""
        options: dict[str, Any] = {"acks": "all", "enable_idempotence": idempotent, **login.for_aiokafka()}
        options["metadata_max_age_ms"] = METADATA_MS
        async with self._wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, **options)) as producer:
            yield _AIOKafkaProducer(producer)

    @asynccontextmanager
    async def consuming(
        self,
        kafka: Kafka,
        topic: str,
        group: str,
        login: Login = OPEN,
        *,
        partitions: Sequence[int] = (),
        commits: bool = False,
    ) -> AsyncIterator[_AIOKafkaConsumer]:
        """Run a consumer."""
        options = {"group_id": group, "auto_offset_reset": "earliest", **login.for_aiokafka()}
        options |= {"enable_auto_commit": commits, "metadata_max_age_ms": METADATA_MS}
        topics = () if partitions else (topic,)
        async with self._wrap(AIOKafkaConsumer(*topics, bootstrap_servers=kafka.bootstrap, **options)) as consumer:
            if partitions:
                consumer.assign([TopicPartition(topic, number) for number in partitions])
            yield _AIOKafkaConsumer(consumer)


def clients_of(way: str) -> Clients:
    """Return the clients that are followed in one of `WAYS`."""
    library, _, how = way.partition(", ")
    return AIOKafkaClients(how) if library == "aiokafka" else ConfluentClients(how)
