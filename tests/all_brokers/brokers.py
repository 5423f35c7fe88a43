"""All brokers between the services of one pipeline, each with one queue."""

from __future__ import annotations

from dataclasses import dataclass

import nats
from anyio import to_thread

from tests.brokers.azure import AzureServer
from tests.brokers.mosquitto import Mosquitto
from tests.brokers.nats import NatsServer
from tests.brokers.process import free_port
from tests.brokers.pubsub import PubSubServer
from tests.integrations.pubsub.clients import publishing, subscribing
from tests.interop.brokers import Brokers

PROJECT = "projects/p"


@dataclass(frozen=True)
class AllBrokers(Brokers):
    """Beside Kafka, RabbitMQ and an AWS: all others, and HTTP, which has no broker."""

    nats: NatsServer
    redis: str
    pubsub: PubSubServer
    servicebus: AzureServer
    mosquitto: Mosquitto

    @property
    def environ(self) -> dict[str, str]:
        """The environment in which a service finds them."""
        return {
            **super().environ,
            "MQTT_PORT": str(self.mosquitto.port),
            "NATS": self.nats.url,
            "PUBSUB": self.pubsub.address,
            "REDIS_URL": self.redis,
            "SERVICEBUS": self.servicebus.connection_string,
        }

    async def create_place(self, broker: str, name: str) -> str:
        """Create a queue, unless it is made when it is used, and return it as an argument of a service."""
        if broker in ("kafka", "rabbitmq", "sqs"):
            return await super().create_place(broker, name)
        if broker == "http":
            return f"http:{free_port()}"
        if broker == "nats":
            async with await nats.connect(self.nats.url) as connection:
                await connection.jetstream().add_stream(name=name, subjects=[name])
        if broker == "google-pubsub":
            await to_thread.run_sync(self._create_subscription, name)
        return f"{broker}:{name}"

    def _create_subscription(self, name: str) -> None:
        """Create a topic and its subscription at Pub/Sub."""
        topic, subscription = f"{PROJECT}/topics/{name}", f"{PROJECT}/subscriptions/{name}"
        with publishing(self.pubsub.address) as publisher, subscribing(self.pubsub.address) as subscriber:
            publisher.create_topic(request={"name": topic})
            subscriber.create_subscription(request={"name": subscription, "topic": topic})
