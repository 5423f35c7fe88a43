"""Programs that send and receive through two libraries that asyncdsm follows, one standing on the other.

Each sends `COUNT` messages while `SENDER` is current, receives them, and returns what was seen with each message: the
pathway that was current where the program handled it, and the context that the message brought.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from time import monotonic, time_ns
from typing import Annotated, Any, NamedTuple
from unittest.mock import Mock, patch
from uuid import uuid4

import aio_pika
import confluent_kafka
import dramatiq
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from azure.servicebus import ServiceBusClient
from boto3.session import Session
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from faststream import Context
from kombu.asynchronous import Hub, set_event_loop
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.messaging import Producer
from kombu.transport import azureservicebus
from taskiq import AckableMessage, AsyncBroker, BrokerMessage, TaskiqMessage, TaskiqMiddleware
from taskiq.api import run_receiver_task

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from tests.brokers.aws import Aws
from tests.brokers.azure import AzureServer
from tests.brokers.kafka import Kafka
from tests.brokers.nats import NatsServer
from tests.brokers.pubsub import PubSubServer
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.dramatiq.conftest import run_worker

COUNT = 3
PATIENCE_SECONDS = 30.0
SENDER = Pathway(7, time_ns(), time_ns())

MessageOfFastStream = Annotated[Any, Context("message")]
Follow = Callable[[Any], Any]
"""`asyncdsm.wrap`, or what leaves the upper library's client as it is, since all are instrumented."""


class Seen(NamedTuple):
    """What was seen with one message."""

    current: Pathway | None
    context: str


class Log(list[Seen]):
    """What was seen so far."""

    def note(self, context: Any) -> None:
        """Note a message that brought this context."""
        self.append(Seen(asyncdsm.current_pathway(), context.decode() if isinstance(context, bytes) else context))

    async def wait(self) -> Log:
        """Wait for all messages."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self) < COUNT:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # for one too many
        return self


def name() -> str:
    """Return a name that no queue has."""
    return f"n{uuid4().hex[:10]}"


def kombu_on_sqs(aws: Aws, follow: Follow) -> Log:
    """Consumers' callbacks, on boto3."""
    with follow(_sqs_connection(aws)) as connection:
        return _kombu(connection, _callbacks)


def kombu_on_sqs_by_get(aws: Aws, follow: Follow) -> Log:
    """`Queue.get` and `SimpleQueue.get`, on boto3."""
    with follow(_sqs_connection(aws)) as connection:
        return _kombu(connection, _gets)


def kombu_on_sqs_with_hub(aws: Aws, follow: Follow) -> Log:
    """Kombu's own asynchronous client of SQS, which shares boto3's session."""
    with follow(_sqs_connection(aws)) as connection:
        return _kombu(connection, _hub)


def kombu_on_kafka(kafka: Kafka, follow: Follow) -> Log:
    """Consumers' callbacks, on confluent-kafka."""
    options = {"wait_time_seconds": 1, "kafka_common_config": {"log_level": 0}}
    host = kafka.bootstrap.split(",")[0]
    with follow(Connection(f"confluentkafka://{host}", transport_options=options)) as connection:
        return _kombu(connection, _callbacks)


def kombu_on_servicebus(server: AzureServer, follow: Follow) -> Log:
    """Consumers' callbacks, on azure-servicebus."""
    with _servicebus(server) as (url, options), follow(Connection(url, transport_options=options)) as connection:
        return _kombu(connection, _callbacks)


def kombu_on_pubsub(server: PubSubServer, follow: Follow) -> Log:
    """Consumers' callbacks, on google-cloud-pubsub."""
    with kombu_pubsub(server) as (url, options), follow(Connection(url, transport_options=options)) as connection:
        return _kombu(connection, _callbacks)


def kombu_on_redis(url: str, follow: Follow) -> Log:
    """Consumers' callbacks, on redis-py."""
    with follow(Connection(url)) as connection:
        return _kombu(connection, _callbacks)


def kombu_on_pyamqp(rabbitmq: RabbitMQ, follow: Follow) -> Log:
    """Consumers' callbacks, on py-amqp."""
    with follow(Connection(rabbitmq.url)) as connection:
        return _kombu(connection, _callbacks)


@contextmanager
def _servicebus(server: AzureServer) -> Iterator[tuple[str, dict[str, Any]]]:
    """Let Kombu use a client of the stand-in; yield the URL and the options of its transport.

    Of its URL, Kombu makes a connection string that leads to Azure alone. The stand-in makes a queue when it is first
    named, and has no management over HTTP.
    """
    kind = azureservicebus.Channel
    with (
        ServiceBusClient.from_connection_string(server.connection_string, retry_total=0) as client,
        patch.object(kind, "queue_service", client),
        patch.object(kind, "queue_mgmt_service", Mock()),
    ):
        yield "azureservicebus://name:a2V5@namespace", {"wait_time_seconds": 1, "polling_interval": 0.1}


@contextmanager
def kombu_pubsub(server: PubSubServer) -> Iterator[tuple[str, dict[str, Any]]]:
    """Let Google's clients use the fake; yield the URL of Kombu's transport and its options.

    Kombu leaves it to the garbage collector to close them and its pools of threads.
    """
    with patch.dict(os.environ, {"PUBSUB_EMULATOR_HOST": server.address}):
        yield f"gcpubsub://projects/{name()}", {"wait_time_seconds": 1, "polling_interval": 0.1}
    gc.collect()


def _sqs_connection(aws: Aws) -> Any:
    host = aws.endpoint.removeprefix("http://")
    options = {"region": "us-east-1", "is_secure": False, "wait_time_seconds": 1, "polling_interval": 0}
    return Connection(f"sqs://test:test@{host}//", transport_options=options)


def _kombu(connection: Any, receive: Callable[[Any, Any, Log], None]) -> Log:
    log, channel = Log(), connection.channel()
    unique = name()
    queue = Queue(unique, Exchange(unique, "direct"), routing_key=unique)(channel)
    queue.declare()
    with current.restored(SENDER):
        for number in range(COUNT):
            Producer(channel, exchange=queue.exchange).publish(number, routing_key=unique)
    receive(connection, queue, log)
    queue.delete()
    return log


def _callbacks(connection: Any, queue: Any, log: Log) -> None:
    with connection.Consumer([queue], callbacks=[_callback(log)], channel=queue.channel):
        _until(log, lambda: connection.drain_events(timeout=2))


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


def celery_on_memory(_: None, follow: Follow) -> Log:
    """Celery on Kombu, a worker in this process."""
    return _celery("memory://", follow, pool="solo", broker_transport_options={"polling_interval": 0.05})


def celery_on_redis(url: str, follow: Follow) -> Log:
    """Celery on Kombu on redis-py, with threads."""
    return _celery(url, follow, pool="threads")


def celery_on_sqs(aws: Aws, follow: Follow, pool: str = "solo") -> Log:
    """Celery on Kombu on boto3."""
    host = aws.endpoint.removeprefix("http://")
    options = {"region": "us-east-1", "is_secure": False, "wait_time_seconds": 1, "polling_interval": 0.1}
    return _celery(f"sqs://test:test@{host}//", follow, pool=pool, broker_transport_options=options)


def celery_on_servicebus(server: AzureServer, follow: Follow) -> Log:
    """Celery on Kombu on azure-servicebus."""
    with _servicebus(server) as (url, options):
        return _celery(url, follow, pool="solo", broker_transport_options=options)


def celery_on_kafka(kafka: Kafka, follow: Follow) -> Log:
    """Celery on Kombu on confluent-kafka."""
    options = {"wait_time_seconds": 1, "kafka_common_config": {"log_level": 0}}
    host = kafka.bootstrap.split(",")[0]
    return _celery(f"confluentkafka://{host}", follow, pool="solo", broker_transport_options=options)


def celery_on_pubsub(server: PubSubServer, follow: Follow) -> Log:
    """Celery on Kombu on google-cloud-pubsub."""
    with kombu_pubsub(server) as (url, options):
        return _celery(url, follow, pool="solo", broker_transport_options=options)


def _celery(url: str, follow: Follow, pool: str, **options: Any) -> Log:
    log, unique = Log(), name()
    app: Any = Celery(unique, broker=url, set_as_current=False)
    app.conf.update(
        task_default_queue=unique, worker_redirect_stdouts=False, worker_enable_remote_control=False, **options
    )
    follow(app)

    @app.task(shared=False, bind=True, ignore_result=True)  # type: ignore[untyped-decorator]
    def task(self: Any) -> None:
        log.note(self.request.get("came_with"))

    def keep_context(request: Any, **_: Any) -> None:
        request.request_dict["came_with"] = request.message.headers[HEADER]

    def leave_logging_alone(**_: Any) -> None:
        """A worker sets up no logging where somebody listens to this."""

    signals.setup_logging.connect(leave_logging_alone)
    signals.task_received.connect(keep_context)
    worker: Any = start_worker(app, pool=pool, perform_ping_check=False, concurrency=2)
    try:
        with app, worker:
            with current.restored(SENDER):
                for _ in range(COUNT):
                    task.delay()
            deadline = monotonic() + PATIENCE_SECONDS
            while len(log) < COUNT:
                assert monotonic() < deadline, f"{len(log)} of {COUNT} tasks ran"
                _sleep()
    finally:
        signals.task_received.disconnect(keep_context)
    return log


def _sleep() -> None:
    import time

    time.sleep(0.02)


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
    from tests.integrations.faststream.brokers import wait_for_cluster_id

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


def dramatiq_on_redis(url: str, follow: Follow) -> Log:
    """A worker in this process, on redis-py."""
    broker = RedisBroker(url=url)
    with closing(broker.client.connection_pool):
        return _dramatiq(follow(broker))


def dramatiq_on_rabbitmq(rabbitmq: RabbitMQ, follow: Follow) -> Log:
    """The same on pika."""
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


class _Contexts(TaskiqMiddleware):
    """Notes the contexts of tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.by_task: dict[str, str] = {}

    def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        self.by_task[message.task_id] = message.labels[HEADER]
        return message


async def taskiq_on_aio_pika(rabbitmq: RabbitMQ, follow: Follow) -> Log:
    """taskiq-aio-pika's broker."""
    from taskiq_aio_pika import AioPikaBroker, Exchange, Queue

    unique = name()
    broker = AioPikaBroker(
        rabbitmq.url,
        exchange=Exchange(name=unique),
        task_queues=[Queue(name=unique)],
        dead_letter_queue=Queue(name=f"{unique}.dead"),
    )
    return await _taskiq(follow(broker))


async def taskiq_on_aio_pika_with_callbacks(rabbitmq: RabbitMQ, follow: Follow) -> Log:
    """A broker that consumes by callback: what it receives is delivered in tasks of the client's own."""
    return await _taskiq(follow(_CallbackBroker(rabbitmq.url)))


async def taskiq_on_aiokafka(kafka: Kafka, follow: Follow) -> Log:
    """A broker on aiokafka."""
    return await _taskiq(follow(_KafkaBroker(kafka, await asyncio.to_thread(kafka.topic))))


async def taskiq_on_aiobotocore(aws: Aws, follow: Follow) -> Log:
    """A broker on aiobotocore."""
    return await _taskiq(follow(_SqsBroker(aws, await asyncio.to_thread(aws.queue))))


async def taskiq_twice(rabbitmq: RabbitMQ, follow: Follow) -> Log:
    """A broker that has the middleware twice, with one between them that copies the message."""
    from asyncdsm_taskiq import DataStreamsMiddleware

    class Copies(TaskiqMiddleware):
        def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
            return message.model_copy()

    broker = _CallbackBroker(rabbitmq.url).with_middlewares(DataStreamsMiddleware(), Copies(), DataStreamsMiddleware())
    return await _taskiq(follow(broker))


class _CallbackBroker(AsyncBroker):
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


class _KafkaBroker(AsyncBroker):
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


class _SqsBroker(AsyncBroker):
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


async def _taskiq(broker: Any) -> Log:
    log, contexts = Log(), _Contexts()
    broker.add_middlewares(contexts)
    broker.is_worker_process = True

    @broker.task  # type: ignore[untyped-decorator]
    async def task(number: int) -> None:
        log.note(None)

    await broker.startup()
    receiver = asyncio.create_task(run_receiver_task(broker))
    try:
        with current.restored(SENDER):
            for number in range(COUNT):
                await task.kiq(number)
        await log.wait()
    finally:
        receiver.cancel()
        await asyncio.gather(receiver, return_exceptions=True)
        await broker.shutdown()
    both = zip(log, contexts.by_task.values(), strict=True)
    return Log(Seen(seen.current, context) for seen, context in both)


async def confluent_asyncio(kafka: Kafka, follow: Follow) -> Log:
    """confluent-kafka's asyncio consumer, on its synchronous one; its asyncio producer's messages take no headers."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.aio import AIOConsumer

    from tests.integrations.confluent.clients import consumer_config

    log, topic = Log(), await asyncio.to_thread(kafka.topic)
    producer = follow(confluent_kafka.Producer({"bootstrap.servers": kafka.bootstrap, "log_level": 0}))
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


async def aiobotocore(aws: Aws, follow: Follow) -> Log:
    """aiobotocore, on botocore."""
    async with follow(get_session()).create_client("sqs", **aws.options) as client:
        return await _sqs(aws, client)


async def aiobotocore_on_httpx(aws: Aws, follow: Follow) -> Log:
    """aiobotocore with its httpx backend."""
    from aiobotocore.httpxsession import HttpxSession

    config = AioConfig(http_session_cls=HttpxSession)
    async with follow(get_session()).create_client("sqs", config=config, **aws.options) as client:
        return await _sqs(aws, client)


async def _sqs(aws: Aws, client: Any) -> Log:
    log, url = Log(), await asyncio.to_thread(aws.queue)
    with current.restored(SENDER):
        for number in range(COUNT):
            await client.send_message(QueueUrl=url, MessageBody=str(number))
    while len(log) < COUNT:
        answer = await client.receive_message(QueueUrl=url, MessageAttributeNames=["_datadog"], WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            log.note(context_of_sqs(message))
    return log


def boto3_resource(aws: Aws, follow: Follow) -> Log:
    """boto3's resource, on its client, both wrapped where wrapping is asked for."""
    log, url = Log(), aws.queue()
    with ExitStack() as stack:
        resource: Any = follow(Session().resource("sqs", **aws.options))
        stack.callback(resource.meta.client.close)
        follow(resource.meta.client)
        queue = resource.Queue(url)
        with current.restored(SENDER):
            for number in range(COUNT):
                queue.send_message(MessageBody=str(number))
        while len(log) < COUNT:
            for message in queue.receive_messages(MessageAttributeNames=["_datadog"], WaitTimeSeconds=1):
                with asyncdsm.using(message):
                    log.note(context_of_sqs(message.meta.data))
    return log


def context_of_sqs(message: Any) -> str:
    """Return the context among the attributes of a message."""
    import json

    context: str = json.loads(message["MessageAttributes"]["_datadog"]["StringValue"])[HEADER]
    return context


class Row(NamedTuple):
    """Two libraries: which program sends and receives through them."""

    upper: str
    lower: str | None
    """The integrations' names; None for a lower one that nothing follows."""
    fixture: str | None
    program: Callable[[Any, Follow], Log | Awaitable[Log]]


ROWS: list[Row] = [
    Row("kombu", "botocore", "ministack", kombu_on_sqs),
    Row("kombu", "botocore", "ministack", kombu_on_sqs_by_get),
    Row("kombu", "botocore", "ministack", kombu_on_sqs_with_hub),
    Row("kombu", "confluent_kafka", "kafka", kombu_on_kafka),
    Row("kombu", "azure.servicebus", "servicebus", kombu_on_servicebus),
    Row("kombu", "google.cloud.pubsub_v1", "pubsub", kombu_on_pubsub),
    Row("kombu", "redis", "redis", kombu_on_redis),
    Row("kombu", None, "rabbitmq", kombu_on_pyamqp),
    Row("celery", "kombu", None, celery_on_memory),
    Row("celery", "kombu", "redis", celery_on_redis),
    Row("celery", "confluent_kafka", "kafka", celery_on_kafka),
    Row("celery", "botocore", "ministack", celery_on_sqs),
    Row("celery", "azure.servicebus", "servicebus", celery_on_servicebus),
    Row("celery", "google.cloud.pubsub_v1", "pubsub", celery_on_pubsub),
    Row("faststream", "aiokafka", "kafka", faststream_on_aiokafka),
    Row("faststream", "aiokafka", "kafka", faststream_twice),
    Row("faststream", "confluent_kafka", "kafka", faststream_on_confluent),
    Row("faststream", "aio_pika", "rabbitmq", faststream_on_aio_pika),
    Row("faststream", "nats", "nats", faststream_on_nats),
    Row("faststream", "redis", "redis", faststream_on_redis),
    Row("dramatiq", "redis", "redis", dramatiq_on_redis),
    Row("dramatiq", None, "rabbitmq", dramatiq_on_rabbitmq),
    Row("taskiq", "aio_pika", "rabbitmq", taskiq_on_aio_pika),
    Row("taskiq", "aio_pika", "rabbitmq", taskiq_on_aio_pika_with_callbacks),
    Row("taskiq", "aio_pika", "rabbitmq", taskiq_twice),
    Row("taskiq", "aiokafka", "kafka", taskiq_on_aiokafka),
    Row("taskiq", "botocore", "ministack", taskiq_on_aiobotocore),
    Row("confluent_kafka", None, "kafka", confluent_asyncio),
    Row("botocore", None, "ministack", aiobotocore),
    Row("botocore", None, "ministack", aiobotocore_on_httpx),
    Row("botocore", None, "ministack", boto3_resource),
]
