"""`asyncdsm_relay.py SOURCE TARGET COUNT`: a relay as a user of asyncdsm would write it. See `relay.py`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aio_pika
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

import asyncdsm

GIVE_UP_SECONDS = 60.0
KAFKA = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
AMQP = os.environ["AMQP_URL"]

Send = Callable[[bytes], Awaitable[object]]


@asynccontextmanager
async def write_kafka(topic: str) -> AsyncIterator[Send]:
    async with asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=KAFKA)) as producer:
        yield lambda body: producer.send_and_wait(topic, body)


@asynccontextmanager
async def write_rabbitmq(queue: str) -> AsyncIterator[Send]:
    async with asyncdsm.wrap(await aio_pika.connect(AMQP)) as connection:
        channel = await connection.channel()
        exchange: Any = channel.default_exchange
        yield lambda body: exchange.publish(aio_pika.Message(body), queue)


@asynccontextmanager
async def write_sqs(url: str) -> AsyncIterator[Send]:
    async with open_sqs() as sqs:
        yield lambda body: sqs.send_message(QueueUrl=url, MessageBody=body.decode())


def open_sqs() -> AbstractAsyncContextManager[Any]:
    """Return a client; who does not need it does not wait for its import, which takes longer than all else."""
    from aiobotocore.session import get_session

    client: AbstractAsyncContextManager[Any] = asyncdsm.wrap(get_session()).create_client("sqs")
    return client


@asynccontextmanager
async def write_nowhere(_: str) -> AsyncIterator[Send]:
    async def send(_: bytes) -> None:
        pass

    yield send


async def read_kafka(topic: str, count: int) -> AsyncIterator[bytes]:
    group = f"relay-{os.environ['DD_SERVICE']}"
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=KAFKA, group_id=group, auto_offset_reset="earliest")
    async with asyncdsm.wrap(consumer):
        report("ready")
        for _ in range(count):
            message = await consumer.getone()
            assert message.value is not None
            yield message.value


async def read_rabbitmq(name: str, count: int) -> AsyncIterator[bytes]:
    async with asyncdsm.wrap(await aio_pika.connect(AMQP)) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        queue = await channel.get_queue(name)
        async with queue.iterator() as messages:
            report("ready")
            for _ in range(count):
                async with (await anext(messages)).process() as message:
                    yield message.body


async def read_sqs(url: str, count: int) -> AsyncIterator[bytes]:
    async with open_sqs() as sqs:
        report("ready")
        while count:
            answer = await sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                yield message["Body"].encode()
                await sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                count -= 1


async def make_messages(_: str, count: int) -> AsyncIterator[bytes]:
    report("ready")
    for number in range(count):
        yield b"%d" % number


SOURCES = {"kafka": read_kafka, "rabbitmq": read_rabbitmq, "sqs": read_sqs, "-": make_messages}
TARGETS: dict[str, Callable[[str], AbstractAsyncContextManager[Send]]] = {
    "kafka": write_kafka,
    "rabbitmq": write_rabbitmq,
    "sqs": write_sqs,
    "-": write_nowhere,
}


def report(word: str) -> None:
    print(word, flush=True)  # noqa: T201  # the contract of a relay


async def main(source: str, target: str, count: int) -> None:
    """Read `count` messages of the source one at a time, and send each to the target."""
    (reads, _, origin), (writes, _, destination) = source.partition(":"), target.partition(":")
    async with asyncio.timeout(GIVE_UP_SECONDS), asyncdsm.DataStreams(), TARGETS[writes](destination) as send:
        async for body in SOURCES[reads](origin, count):
            await send(body)
    report("done")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
