"""Programs on Kombu."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from kombu.asynchronous import Hub, set_event_loop
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.messaging import Producer

from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from tests.brokers.aws import Aws
from tests.brokers.azure import AzureServer
from tests.brokers.kafka import Kafka
from tests.brokers.pubsub import PubSubServer
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.pipelines.layers import transports
from tests.integrations.pipelines.layers.log import COUNT, PATIENCE_SECONDS, SENDER, Follow, Log, name
from tests.integrations.pipelines.layers.transports import Transport

Receive = Callable[[Any, Any, Log], None]


def kombu_on_sqs(aws: Aws, follow: Follow) -> Log:
    """Consumers' callbacks, on boto3."""
    return _kombu(transports.sqs(aws), follow)


def kombu_on_sqs_by_get(aws: Aws, follow: Follow) -> Log:
    """`Queue.get` and `SimpleQueue.get`, on boto3."""
    return _kombu(transports.sqs(aws), follow, _gets)


def kombu_on_sqs_with_hub(aws: Aws, follow: Follow) -> Log:
    """Kombu's own asynchronous client of SQS, which shares boto3's session."""
    return _kombu(transports.sqs(aws), follow, _hub)


def kombu_on_kafka(kafka: Kafka, follow: Follow) -> Log:
    """Consumers' callbacks, on confluent-kafka."""
    return _kombu(transports.kafka(kafka), follow)


def kombu_on_servicebus(server: AzureServer, follow: Follow) -> Log:
    """Consumers' callbacks, on azure-servicebus."""
    with transports.servicebus(server) as transport:
        return _kombu(transport, follow)


def kombu_on_pubsub(server: PubSubServer, follow: Follow) -> Log:
    """Consumers' callbacks, on google-cloud-pubsub."""
    with transports.pubsub(server) as transport:
        return _kombu(transport, follow)


def kombu_on_redis(url: str, follow: Follow) -> Log:
    """Consumers' callbacks, on redis-py."""
    return _kombu(Transport(url, {}), follow)


def kombu_on_pyamqp(rabbitmq: RabbitMQ, follow: Follow) -> Log:
    """Consumers' callbacks, on py-amqp."""
    return _kombu(Transport(rabbitmq.url, {}), follow)


def _callbacks(connection: Any, queue: Any, log: Log) -> None:
    with connection.Consumer([queue], callbacks=[_callback(log)], channel=queue.channel):
        _until(log, lambda: connection.drain_events(timeout=2))


def _kombu(transport: Transport, follow: Follow, receive: Receive = _callbacks) -> Log:
    log, unique = Log(), name()
    with follow(Connection(transport.url, transport_options=transport.options)) as connection:
        channel = connection.channel()
        queue = Queue(unique, Exchange(unique, "direct"), routing_key=unique)(channel)
        queue.declare()
        with current.restored(SENDER):
            for number in range(COUNT):
                Producer(channel, exchange=queue.exchange).publish(number, routing_key=unique)
        receive(connection, queue, log)
        queue.delete()
    return log


def _callback(log: Log) -> Callable[[Any, Any], None]:
    def callback(_: Any, message: Any) -> None:
        log.note(message.headers[HEADER])
        message.ack()

    return callback


def _gets(connection: Any, queue: Any, log: Log) -> None:
    message: Any

    def get() -> None:
        message = queue.get()
        if message is not None:
            log.note(message.headers[HEADER])
            message.ack()

    while not log:
        get()
    with connection.SimpleQueue(queue) as simple:
        while len(log) < COUNT:
            message = simple.get(timeout=PATIENCE_SECONDS)
            log.note(message.headers[HEADER])
            message.ack()
    current.set_current(None)


def _hub(connection: Any, queue: Any, log: Log) -> None:
    hub = Hub()
    set_event_loop(hub)
    try:
        connection.transport.register_with_event_loop(connection.connection, hub)
        channel = connection.channel()
        with connection.Consumer([Queue(queue.name)], callbacks=[_callback(log)], channel=channel, auto_declare=False):
            loop = hub.create_loop()
            _until(log, lambda: next(loop))
    finally:
        set_event_loop(None)
        hub.close()


def _until(log: Log, step: Callable[[], object]) -> None:
    deadline = monotonic() + PATIENCE_SECONDS
    while len(log) < COUNT:
        assert monotonic() < deadline, f"{len(log)} of {COUNT} messages came"
        with suppress(TimeoutError):
            step()
