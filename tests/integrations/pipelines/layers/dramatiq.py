"""Programs on dramatiq."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker

from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.dramatiq.conftest import run_worker
from tests.integrations.pipelines.layers.log import COUNT, PATIENCE_SECONDS, SENDER, Follow, Log, name


def dramatiq_on_redis(url: str, follow: Follow) -> Log:
    """A worker in this process, on redis-py."""
    broker = RedisBroker(url=url)
    with closing(broker.client.connection_pool):
        return _dramatiq(follow(broker))


def dramatiq_on_rabbitmq(rabbitmq: RabbitMQ, follow: Follow) -> Log:
    """A worker in this process, on pika."""
    return _dramatiq(follow(RabbitmqBroker(url=rabbitmq.url)))


class _NotingEncoder(dramatiq.JSONEncoder):
    """Notes the contexts of messages as they are read: asyncdsm takes them off before they are processed."""

    def __init__(self) -> None:
        self.contexts: dict[Any, Any] = {}

    def decode(self, data: bytes) -> dict[str, Any]:
        message = super().decode(data)
        self.contexts[message["args"][0]] = message["options"][HEADER]
        return message


def _dramatiq(broker: Any) -> Log:
    log, queue, encoder, before = Log(), name(), _NotingEncoder(), dramatiq.get_encoder()

    @dramatiq.actor(broker=broker, queue_name=queue)
    def work(number: int) -> None:
        log.note(encoder.contexts[number])

    dramatiq.set_encoder(encoder)
    try:
        with closing(broker), run_worker(broker):
            with current.restored(SENDER):
                for number in range(COUNT):
                    work.send(number)
            broker.join(queue, timeout=1000 * PATIENCE_SECONDS)
    finally:
        dramatiq.set_encoder(before)
    return log
