"""The documented way of each client, once through all that is hooked: what the user gets back is plain data.

A new integration is one function here, and one row in `PROGRAMS`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any, NamedTuple
from uuid import uuid4

import aio_pika
import aiomqtt
import dramatiq as dramatiq_client
import httpx
import httpx2
import nats as nats_client
from aiobotocore.session import get_session
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from asyncdsm_asgi import DataStreamsMiddleware
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from boto3.session import Session
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker
from confluent_kafka import TopicPartition as ConfluentPartition
from confluent_kafka.aio import AIOConsumer, AIOProducer
from dramatiq.brokers.stub import StubBroker
from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import OffsetAndMetadata
from kafka.structs import TopicPartition as KafkaPartition
from kombu.connection import Connection
from kombu.entity import Queue
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from redis import asyncio as redis_client
from redis.exceptions import ResponseError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from taskiq import InMemoryBroker

import asyncdsm
from asyncdsm.core.context import HEADER
from tests.brokers.aws import Aws
from tests.brokers.azure import AzureServer
from tests.brokers.kafka import Kafka
from tests.brokers.mosquitto import Mosquitto
from tests.brokers.nats import NatsServer
from tests.brokers.pubsub import PubSubServer
from tests.brokers.rabbitmq import RabbitMQ
from tests.intake import Intake, running_intake
from tests.integrations.asgi.apps import CONTEXT, Handler, request
from tests.integrations.confluent.clients import PATIENCE_SECONDS, bare_class, consumer_config, from_start, others, read
from tests.integrations.pubsub import clients as pubsub_clients

Wrap = Callable[[Any], Any]
"""`asyncdsm.wrap`, or what leaves a client as it is."""


class Program(NamedTuple):
    """How a user works with one client."""

    fixture: str | None
    """The broker it needs."""
    run: Callable[[Any, Wrap], Any]
    """Called with that broker; returns what the user has got, or a coroutine that does."""


async def aiokafka(kafka: Kafka, wrap: Wrap) -> Any:
    """Single records, a batch, a transaction; `getone`, `getmany`, iteration; commits."""
    source, name = await asyncio.to_thread(kafka.topic), await asyncio.to_thread(kafka.topic)
    group = f"group-{name}"
    producer = wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap))
    in_transactions = wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"t-{name}"))
    options: Any = {"bootstrap_servers": kafka.bootstrap, "auto_offset_reset": "earliest", "group_id": group}
    consumer = wrap(AIOKafkaConsumer(name, max_poll_records=2, enable_auto_commit=False, **options))
    async with producer, in_transactions, consumer:
        headers = [("own", b"1")]
        sent = [await producer.send_and_wait(name, b"1", headers=headers)]
        batch = producer.create_batch()
        batch.append(key=b"k", value=b"2", timestamp=None, headers=[("own", b"2")])
        sent.append(await (await producer.send_batch(batch, name, partition=0)))
        for ends in (in_transactions.commit_transaction, in_transactions.abort_transaction):
            await in_transactions.begin_transaction()
            await in_transactions.send_and_wait(source, b"t")
            await in_transactions.send_offsets_to_transaction({TopicPartition(source, 0): 1}, group)
            await ends()
        sent += [await producer.send_and_wait(name, number) for number in (b"3", b"4")]
        records = [await consumer.getone()]
        while len(records) < 3:
            for several in (await consumer.getmany(timeout_ms=100, max_records=1)).values():
                records.extend(several)
        async for record in consumer:
            records.append(record)
            break
        await consumer.commit()
        committed = await consumer.committed(TopicPartition(name, 0))
    return headers, [each.offset for each in sent], committed, [
        (record.value, [header for header in record.headers if header[0] != HEADER]) for record in records
    ]  # fmt: skip


async def rabbitmq(rabbitmq: RabbitMQ, wrap: Wrap) -> Any:
    """Both kinds of exchange; `get`, an iterator, a callback."""
    name, got = f"n{uuid4().hex[:10]}", list[Any]()
    called = asyncio.Event()

    async def callback(message: Any) -> None:
        got.append(message)
        await message.ack()
        called.set()

    async with wrap(await aio_pika.connect_robust(rabbitmq.url)) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        queue = await channel.declare_queue(name, auto_delete=False)
        exchange = await channel.declare_exchange(f"{name}-exchange", auto_delete=True)
        await queue.bind(exchange, "key")
        sent = [aio_pika.Message(body, headers={"own": body.decode()}) for body in (b"1", b"2", b"3")]
        for message in sent:
            await exchange.publish(message, "key")
        await channel.default_exchange.publish(aio_pika.Message(b"4"), name)
        got.append(await queue.get(no_ack=True))
        async with queue.iterator() as messages:
            async for message in messages:
                await message.ack()
                got.append(message)
                break
        await queue.consume(callback)
        while len(got) < 4:
            called.clear()
            await called.wait()
        await queue.delete(if_unused=False, if_empty=False)
    return [message.headers for message in sent], [
        (message.body, {key: value for key, value in message.headers.items() if key != HEADER}) for message in got
    ]


async def mqtt(broker: Mosquitto, wrap: Wrap) -> Any:
    """MQTT 5 and 3.1.1: every quality of service, a shared subscription, one that ends."""
    topic, got = f"t{uuid4().hex[:10]}", list[Any]()
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.UserProperty = ("own", "1")
    for protocol in (aiomqtt.ProtocolVersion.V5, aiomqtt.ProtocolVersion.V311):
        own = properties if protocol is aiomqtt.ProtocolVersion.V5 else None
        async with wrap(aiomqtt.Client("127.0.0.1", broker.port, protocol=protocol)) as client:
            await client.subscribe(f"$share/group/{topic}", qos=2)
            await client.subscribe("ended")
            await client.unsubscribe("ended")
            for qos in range(3):
                await client.publish(topic, b"%d" % qos, qos, properties=own)
            async for message in client.messages:
                got.append(message)
                if len(got) % 3 == 0:
                    break
    return vars(properties)["UserProperty"], sorted(
        (
            bytes(message.payload),
            [pair for pair in getattr(message.properties, "UserProperty", ()) if pair[0] != HEADER],
        )
        for message in got
    )  # fmt: skip


async def nats(server: NatsServer, wrap: Wrap) -> Any:
    """Core NATS and JetStream: publish, request, a future; a callback, `next_msg`, an iterator, push, pull."""
    subject, stored, headers = f"n{uuid4().hex[:10]}", f"s{uuid4().hex[:10]}", {"own": "1"}
    got, called = list[Any](), asyncio.Event()

    async def callback(message: Any) -> None:
        got.append(message)
        called.set()
        if message.reply and not message.reply.startswith("$"):
            await message.respond(b"answer")

    client = wrap(await nats_client.connect(server.url))
    js = client.jetstream()
    await client.subscribe(subject, cb=callback)
    iterated, asked = await client.subscribe(subject, "group"), await client.subscribe(subject)
    answer = await client.request(subject, b"1", headers=headers, timeout=10)
    got.append(await asked.next_msg(timeout=10))
    async for message in iterated.messages:
        got.append(message)
        break
    await js.add_stream(name=stored, subjects=[stored])
    sent = [await js.publish(stored, b"2", headers=headers), await (await js.publish_async(stored, b"3"))]
    called.clear()
    await js.subscribe(stored, durable="push", cb=callback)
    while len(got) < 5:
        await called.wait()
        called.clear()
    pull = await js.pull_subscribe(stored, durable="pull")
    while len(got) < 7:
        for message in await pull.fetch(2):
            await message.ack_sync()
            got.append(message)
    await client.close()
    return headers, answer.data, [ack.seq for ack in sent], [
        (message.data, {key: value for key, value in (message.headers or {}).items() if key != HEADER})
        for message in got
    ]  # fmt: skip


async def redis(url: str, wrap: Wrap) -> Any:
    """Streams: calls, pipelines, a range; new entries, those of others, those that were not acknowledged."""
    stream, fields = f"r{uuid4().hex[:10]}", {"own": "1"}
    client = wrap(redis_client.Redis.from_url(url))
    await client.xgroup_create(stream, "workers", "0", mkstream=True)
    await client.xadd(stream, fields, maxlen=100)
    got = [await client.xreadgroup("workers", "me", {stream: ">"})]
    async with client.pipeline() as pipeline:
        pipeline.xadd(stream, fields).xadd(stream, {"own": "2"}).xread({stream: "0"})
        *_, read = await pipeline.execute()
    with suppress(ResponseError):
        await client.pipeline().xadd(stream, fields).xadd(stream, fields, id="0-1").execute()
    got += [read, await client.xautoclaim(stream, "workers", "you", 0), await client.xrange(stream)]
    await client.delete(stream)
    await client.aclose()
    return fields, [_values_of(each) for each in got]


def _values_of(result: Any) -> list[Any]:
    """Return the fields of all entries in a result of any shape, without the context."""
    if isinstance(result, dict) and result.keys() & {b"own"}:
        return [result[b"own"]]
    nested = [each for pair in result.items() for each in pair] if isinstance(result, dict) else result
    return [value for each in nested if isinstance(each, list | tuple | dict) for value in _values_of(each)]


async def eventhub(server: AzureServer, wrap: Wrap) -> Any:
    """Event Hubs: one event, several, a batch, the buffer; a callback for each, and one for batches."""
    hub, given, got = f"h{uuid4().hex[:10]}", EventData("1"), list[Any]()
    given.properties = {"own": "1"}
    options: Any = {"eventhub_name": hub, "retry_total": 0}
    connection = server.connection_string
    make: Any = EventHubProducerClient.from_connection_string
    own = list[Any]()

    async def note(events: Any, *_more: Any) -> None:
        own.extend(events)

    async with wrap(make(connection, **options)) as producer:
        await producer.send_event(given, partition_id="0")
        await producer.send_batch([EventData("2"), EventData("3")], partition_id="0")
        batch = await producer.create_batch(partition_id="0")
        batch.add(EventData("4"))
        await producer.send_batch(batch)
    async with wrap(
        make(connection, buffered_mode=True, on_success=note, on_error=note, max_wait_time=0.5, **options)
    ) as producer:
        await producer.send_event(EventData("5"), partition_id="0")

    async def receive(method: str, group: str) -> None:
        count, done = len(got) + 5, asyncio.Event()

        async def on_event(_context: Any, events: Any) -> None:
            got.extend(events if isinstance(events, list) else [events])
            if len(got) == count:
                done.set()

        client = wrap(EventHubConsumerClient.from_connection_string(connection, group, **options))
        receiving = getattr(client, method)(
            on_event, partition_id="0", starting_position="-1", track_last_enqueued_event_properties=True
        )
        task = asyncio.create_task(receiving)
        async with asyncio.timeout(20):
            await done.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()

    await receive("receive", "$Default")
    await receive("receive_batch", "other")
    shown = [
        (event.body_as_str(), {k: v for k, v in (event.properties or {}).items() if k != HEADER.encode()})
        for event in got
    ]
    return given.properties, [event.body_as_str() for event in own], shown


async def servicebus(server: AzureServer, wrap: Wrap) -> Any:
    """Service Bus: one message, several, a batch, a schedule; a list, an iterator, deferred ones."""
    queue, given = f"q{uuid4().hex[:10]}", ServiceBusMessage("1", application_properties={"own": "1"})
    got = list[Any]()
    async with (
        wrap(ServiceBusClient.from_connection_string(server.connection_string, retry_total=0)) as client,
        client.get_queue_sender(queue) as sender,
        client.get_queue_receiver(queue) as receiver,
    ):
        await sender.send_messages(given)
        await sender.send_messages([{"body": "2"}, {"body": "3"}])
        batch = await sender.create_message_batch()
        batch.add_message(ServiceBusMessage("4"))
        await sender.send_messages(batch)
        numbers = await sender.schedule_messages(ServiceBusMessage("5"), datetime.now(UTC))
        while len(got) < 4:
            got += await receiver.receive_messages(4 - len(got), max_wait_time=5)
        for message in got[1:]:
            await receiver.complete_message(message)
        await receiver.defer_message(got[0])
        got += await receiver.receive_deferred_messages(got[0].sequence_number)
        await receiver.complete_message(got[-1])
        async for message in receiver:
            await receiver.complete_message(message)
            got.append(message)
            break
    return (
        given.application_properties,
        len(numbers),
        [
            (str(message), {k: v for k, v in (message.application_properties or {}).items() if k != HEADER.encode()})
            for message in got
        ],
    )


async def pubsub(server: PubSubServer, wrap: Wrap) -> Any:
    """The handwritten clients, in threads, and the async ones: publish, a stream, pulls of one and of several."""
    with (
        pubsub_clients.publishing(server.address) as publisher,
        pubsub_clients.subscribing(server.address) as subscriber,
    ):
        names = pubsub_clients.Names(server, publisher, subscriber)
        topic, subscription = await asyncio.to_thread(names.make)
        wrap(publisher)
        wrap(subscriber)
        attributes = {"own": "1"}
        sent = [await asyncio.wrap_future(publisher.publish(topic, b"1", **attributes))]
        async_publisher = wrap(pubsub_clients.make_async_publisher(server.address))
        request = {"topic": topic, "messages": [{"data": b"2", "attributes": attributes}, {"data": b"3"}]}
        sent += (await async_publisher.publish(request=request)).message_ids
        got = await asyncio.to_thread(_pull_one, subscriber, subscription)
        async_subscriber = wrap(pubsub_clients.make_async_subscriber(server.address))
        response = await async_subscriber.pull(subscription=subscription, max_messages=2)
        got += [received.message for received in response.received_messages]
        ack_ids = [received.ack_id for received in response.received_messages]
        await async_subscriber.acknowledge(subscription=subscription, ack_ids=ack_ids)
        sent.append(await asyncio.wrap_future(publisher.publish(topic, b"4")))
        got.append(await asyncio.to_thread(_stream_one, subscriber, subscription))
        for client in (async_publisher, async_subscriber):
            await client.transport.close()
    return attributes, request["messages"], len(set(sent)), [
        (message.data, {key: value for key, value in message.attributes.items() if key != HEADER}) for message in got
    ]  # fmt: skip


def _pull_one(subscriber: Any, subscription: str) -> list[Any]:
    response = subscriber.pull(subscription=subscription, max_messages=1)
    subscriber.acknowledge(subscription=subscription, ack_ids=[each.ack_id for each in response.received_messages])
    return [received.message for received in response.received_messages]


def _stream_one(subscriber: Any, subscription: str) -> Any:
    streamed = SimpleQueue[Any]()

    def callback(message: Any) -> None:
        message.ack()
        streamed.put(message)

    with pubsub_clients.streaming(subscriber, subscription, callback):
        return streamed.get(timeout=20)


def boto3(aws: Aws, wrap: Wrap) -> Any:
    """SQS, SNS, Kinesis and EventBridge, one by one and in batches."""
    queue, (stream, _) = aws.queue(), aws.stream()
    topic, source = aws.topic(queue, raw=True), aws.rule(queue)
    with ExitStack() as stack:
        clients = [Session().client(service, **aws.options) for service in ("sqs", "sns", "kinesis", "events")]
        for client in clients:
            stack.callback(client.close)
        return _with_boto3(queue, topic, stream, source, *map(wrap, clients))


def _with_boto3(  # noqa: PLR0917
    queue: str, topic: str, stream: str, source: str, sqs: Any, sns: Any, kinesis: Any, events: Any
) -> Any:
    attributes = {"own": {"DataType": "String", "StringValue": "1"}}
    sqs.send_message(QueueUrl=queue, MessageBody="1", MessageAttributes=attributes)
    sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": "a", "MessageBody": "2"}])
    sns.publish(TopicArn=topic, Message="3")
    sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[{"Id": "a", "Message": "4"}])
    events.put_events(Entries=[{"Source": source, "DetailType": "t", "Detail": '{"number": 5}'}])
    put = kinesis.put_record(StreamName=stream, Data=b'{"number": 6}', PartitionKey="p")
    kinesis.put_records(StreamName=stream, Records=[{"Data": b"7", "PartitionKey": "p"}])
    bodies = list[str]()
    while len(bodies) < 5:
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        bodies += [message["Body"] for message in answer.get("Messages", [])]
    place = {"StreamName": stream, "ShardId": put["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    read = kinesis.get_records(ShardIterator=kinesis.get_shard_iterator(**place)["ShardIterator"])["Records"]
    (event,) = [json.loads(body)["detail"] for body in bodies if "detail" in body]
    data = [json.loads(record["Data"]) for record in read]
    for each in (event, data[0]):
        each.pop("_datadog", None)
    return attributes, sorted(body for body in bodies if "detail" not in body), event, data


async def aiobotocore(aws: Aws, wrap: Wrap) -> Any:
    """SQS, from a session that is wrapped."""
    queue = await asyncio.to_thread(aws.queue)
    async with wrap(get_session()).create_client("sqs", **aws.options) as sqs:
        await sqs.send_message(QueueUrl=queue, MessageBody="1")
        answer = await sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)
        return [message["Body"] for message in answer["Messages"]]


_SNS = {"x-amz-sns-message-type": "Notification", "content-type": "text/plain"}
_EVENT = json.dumps({"specversion": "1.0", "type": "t", "ddpathwayctxbase64": CONTEXT}).encode()
PUSHED: list[tuple[dict[str, str], bytes]] = [
    ({}, b"plain"),
    ({HEADER: CONTEXT}, b"by header"),
    (_SNS, json.dumps({"TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": "m"}).encode()),
    ({"user-agent": "APIs-Google; x"}, b'{"message": {"attributes": {}}, "subscription": "s"}'),
    ({"user-agent": "Amazon/EventBridge/ApiDestinations"}, b'{"detail-type": "t", "detail": {}}'),
    ({"content-type": "application/cloudevents+json"}, _EVENT),
    ({"content-type": "application/cloudevents-batch+json"}, b"[%s,%s]" % (_EVENT, _EVENT)),
    ({"ce-specversion": "1.0", "ce-type": "t"}, b"binary"),
]


async def asgi(_: None, wrap: Wrap) -> Any:
    """The middleware, and every kind of request that pushes a message."""
    handler = Handler(produces=False)
    app: Any = handler if wrap is bare else DataStreamsMiddleware(handler)
    answers = [await request(app, headers, body) for headers, body in PUSHED]
    return answers, handler.got


async def starlette(_: None, wrap: Wrap) -> Any:
    """An app that is wrapped."""

    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await request.body())

    app = wrap(Starlette(routes=[Route("/", echo)]))
    return [await request(app, headers, body) for headers, body in PUSHED]


async def httpx_clients(_: None, wrap: Wrap) -> Any:
    """Both libraries, to a real server; the request is the user's own and stays so."""
    statuses, own = list[int](), list[list[str]]()
    with running_intake(intake=Intake(answer=200)) as server:
        for client in (httpx.AsyncClient(), httpx2.AsyncClient()):
            async with wrap(client):
                request: Any = client.build_request("POST", f"{server.url}/x", content=b"1")
                statuses.append((await client.send(request)).status_code)
                own.append(sorted(request.headers))
        blocking: Any
        for blocking in (httpx.Client(), httpx2.Client()):
            with wrap(blocking):
                answer = await asyncio.to_thread(blocking.post, f"{server.url}/x", content=b"1")
                statuses.append(answer.status_code)
        return statuses, own, server.accepted


def confluent(kafka: Kafka, wrap: Wrap) -> Any:
    """`produce` with a callback; `poll`, `consume`, commits."""
    topic, delivered, records = kafka.topic(), list[Any](), list[Any]()
    producer = wrap(bare_class("Producer")({"bootstrap.servers": kafka.bootstrap, "log_level": 0}))
    consumer = wrap(bare_class("Consumer")(consumer_config(kafka, f"g-{topic}")))
    headers: list[tuple[str, Any]] = [("own", b"1")]
    for number in range(4):
        producer.produce(topic, b"%d" % number, headers=headers, on_delivery=lambda *of: delivered.append(of))
    while len(delivered) < 4:
        producer.poll(0.1)
    producer.flush()
    from_start(consumer, topic)
    records += read(consumer, 2)
    while len(records) < 4:
        records += [each for each in consumer.consume(2, timeout=0.2) if each.error() is None]
    committed = [each.offset for each in consumer.commit(message=records[-1], asynchronous=False)]
    consumer.close()
    return headers, [error for error, _ in delivered], committed, [(each.value(), others(each)) for each in records]


async def confluent_asyncio(kafka: Kafka, wrap: Wrap) -> Any:
    """The asyncio clients: `produce`; `poll`, `consume`."""
    topic = await asyncio.to_thread(kafka.topic)
    producer = wrap(AIOProducer({"bootstrap.servers": kafka.bootstrap, "log_level": 0}, batch_size=1))
    consumer = wrap(AIOConsumer(consumer_config(kafka, f"g-{topic}"), max_workers=2))
    async with consumer:
        delivered = [await producer.produce(topic, b"%d" % number, partition=0) for number in range(4)]
        await producer.flush()
        offsets = [(await each).offset() for each in delivered]
        await producer.close()
        await consumer.assign([ConfluentPartition(topic, 0, 0)])
        records = list[Any]()
        while len(records) < 2:
            records += [each for each in [await consumer.poll(0.2)] if each is not None]
        while len(records) < 4:
            records += await consumer.consume(2, 0.2)
    return offsets, [each.value() for each in records]


def celery(_: None, wrap: Wrap) -> Any:
    """A task sent, and worked on by a worker in this process."""
    name = f"n{uuid4().hex[:10]}"
    app: Any = Celery(name, broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.update(task_default_queue=name, worker_redirect_stdouts=False)
    wrap(app)

    @app.task(shared=False)  # type: ignore[untyped-decorator]
    def double(number: int) -> int:
        return 2 * number

    def leave_logging_alone(**_: Any) -> None:
        """A worker sets up no logging where somebody listens to this."""

    task: Any = double
    signals.setup_logging.connect(leave_logging_alone)
    worker: Any = start_worker(app, pool="solo", perform_ping_check=False)
    with app, worker:
        return task.delay(21).get(timeout=PATIENCE_SECONDS)


def kombu(rabbitmq: RabbitMQ, wrap: Wrap) -> Any:
    """`publish`, `get`, a consumer with callbacks, a `SimpleQueue`."""
    headers, got = {"own": "1"}, list[Any]()

    def callback(body: Any, message: Any) -> None:
        got.append(body)
        message.ack()

    with wrap(Connection(rabbitmq.url)) as connection:
        queue = Queue(f"n{uuid4().hex[:10]}", expires=600)(connection.default_channel)
        queue.declare()
        producer = connection.Producer()
        for number in range(3):
            producer.publish(number, routing_key=queue.name, headers=headers)
        asked: Any = queue.get(no_ack=True)
        with connection.Consumer(queue, callbacks=[callback]):
            while len(got) < 2:
                connection.drain_events(timeout=PATIENCE_SECONDS)
        with connection.SimpleQueue(queue, no_ack=True) as simple:
            producer.publish(3, routing_key=queue.name, headers=headers)
            handed = simple.get(timeout=PATIENCE_SECONDS)
        queue.delete()
        return headers, got, asked.payload, asked.headers["own"], handed.payload, handed.headers["own"]


async def faststream(kafka: Kafka, wrap: Wrap) -> Any:
    """A subscriber with a publisher, a batch, `get_one`."""
    from faststream.kafka import KafkaBroker

    source, target, third = [await asyncio.to_thread(kafka.topic) for _ in range(3)]
    broker = wrap(KafkaBroker(kafka.bootstrap, logger=None))
    got, done = list[str](), asyncio.Event()

    async def handle(body: str) -> str:
        return body

    async def finish(body: str) -> None:
        got.append(body)
        done.set()

    options: Any = {"auto_offset_reset": "earliest"}
    broker.publisher(target)(broker.subscriber(source, **options)(handle))
    broker.subscriber(target, **options)(finish)
    reader = broker.subscriber(third, **options)
    await broker.start()
    try:
        await broker.publish("1", source, headers={"own": "1"})
        await broker.publish_batch("2", "3", topic=third)
        while not got:
            await done.wait()
        one = await reader.get_one(timeout=10)
        return got, None if one is None else one.body
    finally:
        await broker.stop()


async def faststream_mqtt(server: Mosquitto, wrap: Wrap) -> Any:
    """A subscriber with a publisher, in both versions; a request."""
    from faststream.mqtt import MQTTBroker

    got = list[Any]()
    for version in ("5.0", "3.1.1"):
        broker: Any = wrap(MQTTBroker("127.0.0.1", port=server.port, version=version, logger=None))
        got.append(await _pass_on(broker, "topic", has_headers=version == "5.0"))
    asked: Any = wrap(MQTTBroker("127.0.0.1", port=server.port, logger=None))
    return got, await _ask(asked, "topic")


async def faststream_nats(server: NatsServer, wrap: Wrap) -> Any:
    """A subscriber with a publisher, a request, a batch of a stream."""
    from faststream.nats import NatsBroker, PullSub

    broker: Any = wrap(NatsBroker(server.url, logger=None))
    passed = await _pass_on(broker, "subject")
    answer = await _ask(wrap(NatsBroker(server.url, logger=None)), "subject")
    stream, got, done = f"s{uuid4().hex[:10]}", list[int](), asyncio.Event()

    async def handle(bodies: list[int]) -> None:
        got.extend(bodies)
        done.set()

    batches: Any = wrap(NatsBroker(server.url, logger=None))
    batches.subscriber(stream, stream=stream, durable="d", pull_sub=PullSub(batch=True, timeout=0.2))(handle)
    async with batches:
        await batches.start()
        for number in range(3):
            await batches.publish(number, stream, stream=stream)
        while len(got) < 3:
            done.clear()
            await done.wait()
    return passed, answer, got


async def faststream_redis(url: str, wrap: Wrap) -> Any:
    """A channel, a list, a stream, each with a publisher; a request; a batch; `get_one` and iteration."""
    from faststream.redis import RedisBroker, StreamSub

    options: Any = {"logger": None}
    passed = [await _pass_on(wrap(RedisBroker(url, **options)), kind) for kind in ("channel", "list", "stream")]
    answer = await _ask(wrap(RedisBroker(url, **options)), "channel")
    name, got, done = f"l{uuid4().hex[:10]}", list[int](), asyncio.Event()

    async def handle(body: int) -> None:
        got.append(body)
        done.set()

    broker: Any = wrap(RedisBroker(url, **options))
    broker.subscriber(list=name)(handle)
    reader = broker.subscriber(stream=StreamSub(f"{name}-stream", last_id="0", polling_interval=20))
    async with broker:
        await broker.start()
        await broker.publish_batch(1, 2, list=name)
        for number in range(2):
            await broker.publish(number, stream=f"{name}-stream")
        read = [await (await reader.get_one(timeout=10)).decode()]
        async for message in reader:
            read.append(await message.decode())
            break
        while len(got) < 2:
            done.clear()
            await done.wait()
    return passed, answer, got, read


async def _pass_on(broker: Any, kind: str, *, has_headers: bool = True) -> list[str]:
    """Publish to a handler that publishes, and return what came out of it. `kind` is what FastStream calls the name."""
    source, target = (f"n{uuid4().hex[:10]}" for _ in range(2))
    got, done = list[str](), asyncio.Event()

    async def handle(body: str) -> str:
        return f"{body}!"

    async def finish(body: str) -> None:
        got.append(body)
        done.set()

    broker.publisher(**{kind: target})(broker.subscriber(**{kind: source})(handle))
    broker.subscriber(**{kind: target})(finish)
    async with broker:
        await broker.start()
        await broker.publish("a", **{kind: source}, **({"headers": {"own": "1"}} if has_headers else {}))
        await done.wait()
    return got


async def _ask(broker: Any, kind: str) -> Any:
    """Return the answer of a handler to a request."""
    name = f"n{uuid4().hex[:10]}"

    async def double(number: int) -> int:
        return 2 * number

    broker.subscriber(**{kind: name})(double)
    async with broker:
        await broker.start()
        asked = broker.request(21, channel=name) if kind == "channel" else broker.request(21, name)
        return await (await asked).decode()


async def taskiq(_: None, wrap: Wrap) -> Any:
    """A task sent, and executed in memory."""
    broker: Any = wrap(InMemoryBroker())

    @broker.task  # type: ignore[untyped-decorator]
    async def double(number: int) -> int:
        return 2 * number

    await broker.startup()
    try:
        task: Any = double
        return (await (await task.kiq(21)).wait_result()).return_value
    finally:
        await broker.shutdown()


def dramatiq(_: None, wrap: Wrap) -> Any:
    """A message that is enqueued while another one is processed, the first after a failed try."""
    broker, got, seen = StubBroker(), list[int](), list[dict[str, Any]]()
    wrap(broker)

    @dramatiq_client.actor(broker=broker, queue_name="second")
    def second(number: int) -> None:
        got.append(number)

    @dramatiq_client.actor(broker=broker, queue_name="first", min_backoff=1, max_backoff=1)
    def first(number: int) -> None:
        message = dramatiq_client.middleware.CurrentMessage.get_current_message()
        seen.append({} if message is None else dict(message.options))
        if len(seen) == 1:
            raise ValueError(number)
        second.send(number)

    broker.add_middleware(dramatiq_client.middleware.CurrentMessage())
    worker = dramatiq_client.Worker(broker, worker_timeout=10, worker_threads=1)
    sent = first.send_with_options(args=(1,), own="1")
    worker.start()
    try:
        for queue in ("first", "second"):
            broker.join(queue, timeout=1000 * int(PATIENCE_SECONDS), fail_fast=False)
    finally:
        worker.stop()
        broker.close()
    return got, sent.options, [options["own"] for options in seen], seen[-1]["retries"]


def kafka_python(kafka: Kafka, wrap: Wrap) -> Any:
    """`send`, a transaction; `poll`, a loop, commits."""
    name = kafka.topic()
    servers: dict[str, Any] = {"bootstrap_servers": kafka.bootstrap}
    options = {"auto_offset_reset": "earliest", "enable_auto_commit": False, **servers}
    with ExitStack() as stack:
        clients: list[Any] = [
            KafkaProducer(**servers),
            KafkaProducer(transactional_id=f"t-{name}", **servers),
            KafkaConsumer(name, group_id=name, **options),
        ]
        for client in clients:
            stack.callback(client.close)
        return _with_kafka_python(name, *map(wrap, clients))


def _with_kafka_python(name: str, producer: Any, in_transactions: Any, consumer: Any) -> Any:
    partition, headers, records = KafkaPartition(name, 0), [("own", b"1")], list[Any]()
    sent = [producer.send(name, b"%d" % number, headers=headers).get(PATIENCE_SECONDS) for number in range(3)]
    in_transactions.init_transactions()
    for ends in (in_transactions.commit_transaction, in_transactions.abort_transaction):
        in_transactions.begin_transaction()
        in_transactions.send_offsets_to_transaction({partition: OffsetAndMetadata(1, "", -1)}, f"g-{name}")
        ends()
    while len(records) < 2:
        for batch in consumer.poll(timeout_ms=1000, max_records=1).values():
            records += list(batch)
    records.append(next(consumer))
    consumer.commit()
    return headers, [each.offset for each in sent], consumer.committed(partition), [
        (record.value, [header for header in record.headers if header[0] != HEADER]) for record in records
    ]  # fmt: skip


def by_hand(_: None, wrap: Wrap) -> Any:
    """`ddtrace.data_streams`' functions."""
    message: dict[str, str] = {"own": "1"}
    technology = uuid4().hex  # what is remembered of one is not made again
    if wrap is not bare:
        asyncdsm.set_produce_checkpoint(technology, "subject", message.__setitem__, tags=("a:b",))
        asyncdsm.set_consume_checkpoint(technology, "subject", message.get)
        asyncdsm.track_kafka_produce("t", 0, 1)
        asyncdsm.track_kafka_commit("g", "t", 0, 1)
    message.pop(HEADER, None)
    return message


def aws_lambda(_: None, wrap: Wrap) -> Any:
    """Events of Lambda."""
    records: list[Any] = [
        {"eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:r:1:q", "body": "1", "messageAttributes": {}},
        {"EventSource": "aws:sns", "Sns": {"TopicArn": "arn:aws:sns:r:1:t", "Message": "2"}},
    ]
    events: list[Any] = [{"Records": records}, {"detail-type": "t", "detail": {}}]
    consume: Any = (lambda event: event.get("Records", [event])) if wrap is bare else asyncdsm.consume_lambda_event
    return [list(consume(event)) for event in events]


def bare(client: Any) -> Any:
    """Leave a client as it is."""
    return client


PROGRAMS: dict[str, Program] = {
    "aiobotocore": Program("ministack", aiobotocore),
    "aiokafka": Program("kafka", aiokafka),
    "aio_pika": Program("rabbitmq", rabbitmq),
    "asgi": Program(None, asgi),
    "boto3": Program("ministack", boto3),
    "by hand": Program(None, by_hand),
    "celery": Program(None, celery),
    "confluent": Program("kafka", confluent),
    "confluent, asyncio": Program("kafka", confluent_asyncio),
    "eventhub": Program("eventhubs", eventhub),
    "dramatiq": Program(None, dramatiq),
    "faststream": Program("kafka", faststream),
    "faststream, MQTT": Program("mosquitto", faststream_mqtt),
    "faststream, NATS": Program("nats", faststream_nats),
    "faststream, Redis": Program("redis", faststream_redis),
    "httpx": Program(None, httpx_clients),
    "kafka_python": Program("kafka", kafka_python),
    "kombu": Program("rabbitmq", kombu),
    "lambda": Program(None, aws_lambda),
    "mqtt": Program("mosquitto", mqtt),
    "nats": Program("nats", nats),
    "redis": Program("redis", redis),
    "servicebus": Program("servicebus", servicebus),
    "pubsub": Program("pubsub", pubsub),
    "starlette": Program(None, starlette),
    "taskiq": Program(None, taskiq),
}
