"""Programs on FastStream: a subscriber, and a broker that publishes."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from faststream import Context

from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from tests.brokers.kafka import Kafka
from tests.brokers.nats import NatsServer
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.faststream.brokers import wait_for_cluster_id
from tests.integrations.pipelines.layers.log import COUNT, SENDER, Follow, Log, name

MessageOfFastStream = Annotated[Any, Context("message")]


async def faststream_on_aiokafka(kafka: Kafka, follow: Follow) -> Log:
    """A subscriber on aiokafka."""
    from faststream.kafka import KafkaBroker

    return await _faststream(kafka, follow(KafkaBroker(kafka.bootstrap, logger=None)))


async def faststream_on_confluent(kafka: Kafka, follow: Follow) -> Log:
    """A subscriber on confluent-kafka."""
    from faststream.confluent import KafkaBroker

    return await _faststream(kafka, follow(KafkaBroker(kafka.bootstrap, logger=None, allow_auto_create_topics=False)))


async def faststream_on_aio_pika(rabbitmq: RabbitMQ, follow: Follow) -> Log:
    """A subscriber on aio-pika."""
    from faststream.rabbit import RabbitBroker

    return await _faststream(None, follow(RabbitBroker(rabbitmq.url, logger=None)))


async def faststream_twice(kafka: Kafka, follow: Follow) -> Log:
    """A broker that has the middleware twice."""
    from asyncdsm_faststream import DataStreamsMiddleware
    from faststream.kafka import KafkaBroker

    twice = [DataStreamsMiddleware, DataStreamsMiddleware]
    return await _faststream(kafka, follow(KafkaBroker(kafka.bootstrap, logger=None, middlewares=twice)))


async def faststream_on_nats(nats: NatsServer, follow: Follow) -> Log:
    """A subscriber on nats-py."""
    from faststream.nats import NatsBroker

    return await _faststream(None, follow(NatsBroker(nats.url, logger=None)))


async def faststream_on_redis(url: str, follow: Follow) -> Log:
    """A subscriber on a stream of redis-py, which counts nothing else."""
    from faststream.redis import RedisBroker, StreamSub

    unique = name()
    source, target = {"stream": StreamSub(unique, last_id="0", polling_interval=20)}, {"stream": unique}
    return await _faststream(None, follow(RedisBroker(url)), source, target)


async def _faststream(
    kafka: Kafka | None, broker: Any, source: dict[str, Any] | None = None, target: dict[str, Any] | None = None
) -> Log:
    """Publish and subscribe. `source` and `target` are arguments; without them, it is a topic, queue or subject."""
    log = Log()
    topic = name() if kafka is None else await asyncio.to_thread(kafka.topic)
    options = {} if kafka is None else {"auto_offset_reset": "earliest"}

    async def handle(body: Any, message: MessageOfFastStream) -> None:
        log.note(message.headers[HEADER])

    (broker.subscriber(**source) if source else broker.subscriber(topic, **options))(handle)
    await broker.start()
    try:
        await wait_for_cluster_id(broker)
        with current.restored(SENDER):
            for number in range(COUNT):
                await (broker.publish(str(number), **target) if target else broker.publish(str(number), topic))
        return await log.wait()
    finally:
        await broker.stop()
