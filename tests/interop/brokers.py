"""The three brokers between relays: what a relay needs to know of them, and their topics and queues."""

from __future__ import annotations

from dataclasses import dataclass

import aio_pika
from anyio import to_thread

from tests.brokers.aws import Aws
from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMQ


@dataclass(frozen=True)
class Brokers:
    """Kafka, RabbitMQ and an AWS, all of which run."""

    kafka: Kafka
    rabbitmq: RabbitMQ
    aws: Aws

    @property
    def environ(self) -> dict[str, str]:
        """The environment in which a relay finds them."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "AMQP_URL": self.rabbitmq.url,
            "AWS_ENDPOINT_URL": self.aws.endpoint,
        }

    async def create_place(self, broker: str, name: str) -> str:
        """Create a topic or queue and return it as an argument of a relay."""
        if broker == "kafka":
            await to_thread.run_sync(self.kafka.create_topic, name)
            return f"kafka:{name}"
        if broker == "sqs":
            return f"sqs:{await to_thread.run_sync(self.aws.create_queue, name)}"
        async with await aio_pika.connect(self.rabbitmq.url) as connection:
            channel = await connection.channel()
            await channel.declare_queue(name, durable=True)
        return f"rabbitmq:{name}"
