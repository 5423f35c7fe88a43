"""Brokers of taskiq that a program might write itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import aio_pika
from aiobotocore.session import get_session
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from taskiq import AckableMessage, AsyncBroker, BrokerMessage

from tests.brokers.aws import Aws
from tests.brokers.kafka import Kafka
from tests.integrations.pipelines.layers.log import name


class CallbackBroker(AsyncBroker):
    """On aio-pika, by callback."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url, self.queue_name = url, name()

    async def startup(self) -> None:
        await super().startup()
        self.connection = await aio_pika.connect_robust(self.url)
        self.channel = await self.connection.channel()
        self.queue = await self.channel.declare_queue(self.queue_name, auto_delete=True)

    async def kick(self, message: BrokerMessage) -> None:
        sent = aio_pika.Message(message.message, headers=dict(message.labels))
        await self.channel.default_exchange.publish(sent, self.queue_name)

    async def listen(self) -> AsyncGenerator[bytes | AckableMessage, None]:
        came = asyncio.Queue[Any]()
        await self.queue.consume(came.put)
        while True:
            message = await came.get()
            yield AckableMessage(data=message.body, ack=message.ack)

    async def shutdown(self) -> None:
        await super().shutdown()
        await self.connection.close()


class KafkaBroker(AsyncBroker):
    """On aiokafka."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        super().__init__()
        self.kafka, self.topic = kafka, topic

    async def startup(self) -> None:
        await super().startup()
        self.producer = AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap)
        self.consumer = AIOKafkaConsumer(
            self.topic, bootstrap_servers=self.kafka.bootstrap, auto_offset_reset="earliest"
        )
        await self.producer.start()
        await self.consumer.start()

    async def kick(self, message: BrokerMessage) -> None:
        await self.producer.send_and_wait(self.topic, message.message)

    async def listen(self) -> AsyncGenerator[bytes | AckableMessage, None]:
        async for record in self.consumer:
            if record.value is not None:
                yield record.value

    async def shutdown(self) -> None:
        await super().shutdown()
        await self.producer.stop()
        await self.consumer.stop()


class SqsBroker(AsyncBroker):
    """On aiobotocore."""

    def __init__(self, aws: Aws, url: str) -> None:
        super().__init__()
        self.aws, self.url = aws, url

    async def startup(self) -> None:
        await super().startup()
        self.client: Any = await get_session().create_client("sqs", **self.aws.options).__aenter__()

    async def kick(self, message: BrokerMessage) -> None:
        await self.client.send_message(QueueUrl=self.url, MessageBody=message.message.decode())

    async def listen(self) -> AsyncGenerator[bytes | AckableMessage, None]:
        while True:
            answer = await self.client.receive_message(
                QueueUrl=self.url, MessageAttributeNames=["All"], WaitTimeSeconds=1
            )
            for message in answer.get("Messages", []):
                assert "MessageAttributes" not in message, "two contexts on one message"
                yield message["Body"].encode()

    async def shutdown(self) -> None:
        await super().shutdown()
        await self.client.__aexit__(None, None, None)
