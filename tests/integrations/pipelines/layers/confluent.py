"""A program on confluent-kafka."""

from __future__ import annotations

import asyncio
from typing import Any

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.aio import AIOConsumer

from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from tests.brokers.kafka import Kafka
from tests.integrations.confluent.clients import consumer_config
from tests.integrations.pipelines.layers.log import COUNT, SENDER, Follow, Log


async def confluent_asyncio(kafka: Kafka, follow: Follow) -> Log:
    """confluent-kafka's asyncio consumer, on its synchronous one; its asyncio producer's messages take no headers."""
    log, topic = Log(), await asyncio.to_thread(kafka.topic)
    producer = follow(Producer({"bootstrap.servers": kafka.bootstrap, "log_level": 0}))
    consumer: Any = follow(AIOConsumer(consumer_config(kafka, f"g-{topic}"), max_workers=2))
    async with consumer:
        with current.restored(SENDER):
            for number in range(COUNT):
                producer.produce(topic, b"%d" % number, partition=0)
        await asyncio.to_thread(producer.flush)
        await consumer.assign([TopicPartition(topic, 0, 0)])
        while len(log) < COUNT:
            message: Any = await consumer.poll(1)
            if message is not None:
                log.note(dict(message.headers() or ()).get(HEADER))
    return log
