"""Messages taken out of a batch, in each way that docs/batches.md lists, with each client that hands over batches."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import boto3.session
import confluent_kafka
import pytest
from aiobotocore.session import get_session
from aiokafka import AIOKafkaConsumer
from asyncdsm_faststream import DataStreamsMiddleware
from blockbuster import BlockBuster

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.context import HEADER
from asyncdsm.integration.formats.json_context import KEY
from asyncdsm.testing import Captured
from tests.brokers.aws import Aws
from tests.brokers.kafka import Kafka
from tests.brokers.mock_cluster import MockCluster
from tests.integrations.botocore.clients import wrapped_client
from tests.integrations.confluent.clients import bare_class, consumer_config, from_start
from tests.integrations.pipelines.batch_ways import WAYS
from tests.integrations.pipelines.rows import read_rows

PATIENCE_SECONDS = 60.0

Receive = Callable[[int], Any]
"""Fills a queue or topic with a number of messages of different pathways and receives them in one batch."""

each_way = pytest.mark.parametrize("row", WAYS)


@pytest.fixture
def blockbuster(blockbuster: BlockBuster) -> BlockBuster:
    """Half of these clients block, as they do in programs without an event loop."""
    blockbuster.deactivate()
    return blockbuster


def send() -> None:
    asyncdsm.set_produce_checkpoint("test", "out", lambda _key, _value: None)


def followed(captured: Captured) -> list[int | None]:
    """Return which received message each produced one follows, by its number."""
    received = [made.hash for made in captured.consumed()]
    assert len(set(received)) == len(received)
    return [received.index(made.parent) if made.parent else None for made in captured.produced("out")]


async def check_way(row: str, batch: Any, captured: Captured) -> None:
    """Take three messages out of a batch, and look at what follows which."""
    walk, expected = WAYS[row]
    assert len(batch) == 3
    assert asyncdsm.current_pathway() is None
    await walk(batch, send)
    assert followed(captured) == expected


def check_one(batch: Any, captured: Captured) -> None:
    """One message alone is current at once, in a plain list, until the next is received."""
    assert type(batch) is list
    send()
    for _ in sorted(batch, key=id):
        send()
    assert followed(captured) == [0, 0]


def test_page_has_a_row_for_each_way() -> None:
    assert sorted(read_rows("several")) == sorted(WAYS)


def context(number: int) -> str:
    return Pathway(number + 1, 1, 1).encode_base64()


# SQS ------------------------------------------------------------------------------------------------------------------


def fill_queue(aws: Aws, count: int) -> dict[str, Any]:
    """Put messages on a new queue, and return the parameters that receive them."""
    queue = aws.queue()
    for number in range(count):
        attribute = {"DataType": "String", "StringValue": f'{{"{HEADER}":"{context(number)}"}}'}
        aws.bare("sqs").send_message(QueueUrl=queue, MessageBody=f"{number}", MessageAttributes={KEY: attribute})
    return {"QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 2}


@each_way
async def test_batch_of_a_boto3_client_follows_each_way(ministack: Aws, captured_streams: Captured, row: str) -> None:
    sqs = wrapped_client(ministack, "sqs")
    await check_way(row, sqs.receive_message(**fill_queue(ministack, 3))["Messages"], captured_streams)


@each_way
@pytest.mark.parametrize("how", ["resource", "session", "queue", "instrument"])
async def test_batch_of_a_boto3_resource_follows_each_way(
    ministack: Aws, captured_streams: Captured, row: str, how: str
) -> None:
    asked = fill_queue(ministack, 3)
    await check_way(row, receive_by_resource(ministack, asked, how), captured_streams)


def receive_by_resource(aws: Aws, asked: dict[str, Any], how: str) -> Any:
    session: Any = boto3.session.Session()
    asked = dict(asked)
    url = asked.pop("QueueUrl")
    if how == "instrument":
        asyncdsm.instrument("botocore")
    try:
        resource = (asyncdsm.wrap(session) if how == "session" else session).resource("sqs", **aws.options)
        queue = (asyncdsm.wrap(resource) if how == "resource" else resource).Queue(url)
        return (asyncdsm.wrap(queue) if how == "queue" else queue).receive_messages(**asked)
    finally:
        asyncdsm.uninstrument("botocore")


@each_way
async def test_batch_of_aiobotocore_follows_each_way(ministack: Aws, captured_streams: Captured, row: str) -> None:
    async with followed_session().create_client("sqs", **ministack.options) as sqs:
        answer = await sqs.receive_message(**fill_queue(ministack, 3))
        await check_way(row, answer["Messages"], captured_streams)


def followed_session() -> Any:
    return asyncdsm.wrap(get_session())


def test_single_message_of_sqs_is_current_at_once(ministack: Aws, captured_streams: Captured) -> None:
    sqs, asked = wrapped_client(ministack, "sqs"), fill_queue(ministack, 1)
    check_one(sqs.receive_message(**asked)["Messages"], captured_streams)
    sqs.receive_message(QueueUrl=asked["QueueUrl"])  # an empty answer
    assert asyncdsm.current_pathway() is None


@pytest.mark.parametrize("how", ["resource", "session", "queue", "instrument"])
def test_single_message_of_a_resource_is_current_at_once(ministack: Aws, captured_streams: Captured, how: str) -> None:
    check_one(receive_by_resource(ministack, fill_queue(ministack, 1), how), captured_streams)


async def test_single_message_received_elsewhere_is_current_when_taken(
    ministack: Aws, captured_streams: Captured
) -> None:
    """In a thread of a pool or another task: nothing stays current there, and the caller's list follows."""
    sqs = wrapped_client(ministack, "sqs")
    answers = [
        await asyncio.to_thread(lambda: sqs.receive_message(**fill_queue(ministack, 1))),
        await asyncio.get_running_loop().run_in_executor(None, lambda: sqs.receive_message(**fill_queue(ministack, 1))),
    ]
    async with followed_session().create_client("sqs", **ministack.options) as client:
        answers += [
            await asyncio.create_task(client.receive_message(**fill_queue(ministack, 1))),
            (await asyncio.gather(client.receive_message(**fill_queue(ministack, 1))))[0],
        ]
    made = [each.hash for each in captured_streams.consumed()]
    assert await asyncio.get_running_loop().run_in_executor(None, asyncdsm.current_pathway) is None
    for number, answer in enumerate(answers):
        assert asyncdsm.current_pathway() is None
        for _ in answer["Messages"]:
            current = asyncdsm.current_pathway()
            assert current is not None
            assert current.hash == made[number]


def test_receive_of_another_client_ends_the_current_message(ministack: Aws, captured_streams: Captured) -> None:
    sqs, other = wrapped_client(ministack, "sqs"), wrapped_client(ministack, "sqs")
    batch = sqs.receive_message(**fill_queue(ministack, 3))["Messages"]
    assert batch[1]["Body"] == "1"
    send()
    other.receive_message(QueueUrl=ministack.queue())
    send()
    assert followed(captured_streams) == [1, None]


def test_two_interleaved_batches_make_their_own_messages_current(ministack: Aws, captured_streams: Captured) -> None:
    sqs = wrapped_client(ministack, "sqs")
    one, two = (sqs.receive_message(**fill_queue(ministack, 2))["Messages"] for _ in range(2))
    hashes = [made.hash for made in captured_streams.consumed()]
    captured_streams.clear()
    for _ in zip(one, two, strict=True):
        send()  # the second batch's message was taken last
    send()
    for _ in one:
        for _ in two:
            send()
        send()
    assert one[0] is not None
    send()
    assert two[1] is not None
    send()
    parents = [made.parent for made in captured_streams.produced("out")]
    numbers = [hashes.index(parent) if parent in hashes else None for parent in parents]
    ones, twos = (0, 1), (2, 3) if len(set(hashes)) == 4 else (0, 1)
    assert numbers == [*twos, None, *twos, ones[0], *twos, ones[1], ones[0], twos[1]]


# Kinesis --------------------------------------------------------------------------------------------------------------


def read_stream(aws: Aws, count: int) -> tuple[Any, str]:
    """Put records on a new stream, and return a wrapped client and an iterator that reads them."""
    stream, _ = aws.stream()
    kinesis = wrapped_client(aws, "kinesis")
    records = [
        {"Data": f'{{"{KEY}":{{"{HEADER}":"{context(number)}"}}}}', "PartitionKey": "p"} for number in range(count)
    ]
    answer = aws.bare("kinesis").put_records(StreamName=stream, Records=records)
    shard = answer["Records"][0]["ShardId"]
    place = {"StreamName": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    return kinesis, kinesis.get_shard_iterator(**place)["ShardIterator"]


@each_way
async def test_batch_of_kinesis_follows_each_way(ministack: Aws, captured_streams: Captured, row: str) -> None:
    kinesis, iterator = read_stream(ministack, 3)
    await check_way(row, kinesis.get_records(ShardIterator=iterator)["Records"], captured_streams)


def test_single_record_of_kinesis_is_current_at_once(ministack: Aws, captured_streams: Captured) -> None:
    kinesis, iterator = read_stream(ministack, 1)
    answer = kinesis.get_records(ShardIterator=iterator)
    check_one(answer["Records"], captured_streams)
    kinesis.get_records(ShardIterator=answer["NextShardIterator"])
    assert asyncdsm.current_pathway() is None


# Lambda ---------------------------------------------------------------------------------------------------------------


def lambda_event(count: int) -> dict[str, Any]:
    arn = "arn:aws:sqs:us-east-1:1:orders"
    carriers = [{"stringValue": f'{{"{HEADER}":"{context(number)}"}}'} for number in range(count)]
    return {
        "Records": [
            {"eventSource": "aws:sqs", "eventSourceARN": arn, "body": "b", "messageAttributes": {KEY: carrier}}
            for carrier in carriers
        ]
    }


@each_way
async def test_batch_of_lambda_follows_each_way(captured_streams: Captured, row: str) -> None:
    await check_way(row, asyncdsm.consume_lambda_event(lambda_event(3)), captured_streams)


def test_single_record_of_lambda_is_current_at_once(captured_streams: Captured) -> None:
    check_one(asyncdsm.consume_lambda_event(lambda_event(1)), captured_streams)


# Kafka ----------------------------------------------------------------------------------------------------------------


def fill_topic(kafka: Kafka | MockCluster, count: int) -> str:
    topic = kafka.topic()
    bare = bare_class("Producer")({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    for number in range(count):
        bare.produce(topic, f"{number}", partition=0, headers=[(HEADER, context(number).encode())])
    assert bare.flush(60) == 0
    return topic


@asynccontextmanager
async def getmany(kafka: Kafka, *counts: int) -> AsyncIterator[dict[Any, list[Any]]]:
    """Receive a number of messages of each of some new topics, in one answer."""
    topics = [fill_topic(kafka, count) for count in counts]
    options: dict[str, Any] = {"bootstrap_servers": kafka.bootstrap, "auto_offset_reset": "earliest"}
    consumer = asyncdsm.wrap(AIOKafkaConsumer(*topics, **options))
    async with consumer:
        deadline = monotonic() + PATIENCE_SECONDS
        batches: dict[Any, list[Any]] = {}
        while monotonic() < deadline and not batches:
            while sum(consumer.highwater(each) or 0 for each in consumer.assignment()) < sum(counts):
                await asyncio.sleep(0.01)
            batches = await consumer.getmany(timeout_ms=1000)
        yield batches


@each_way
async def test_batch_of_aiokafka_follows_each_way(kafka: Kafka, captured_streams: Captured, row: str) -> None:
    async with getmany(kafka, 3) as batches:
        (batch,) = batches.values()
        await check_way(row, batch, captured_streams)


async def test_single_record_of_aiokafka_is_current_at_once(kafka: Kafka, captured_streams: Captured) -> None:
    async with getmany(kafka, 1) as batches:
        (batch,) = batches.values()
        check_one(batch, captured_streams)


async def test_two_partitions_of_one_record_each_are_a_batch_of_two(kafka: Kafka, captured_streams: Captured) -> None:
    async with getmany(kafka, 1, 1) as batches:
        assert len(batches) == 2
        assert asyncdsm.current_pathway() is None
        for records in batches.values():
            for _ in records:
                send()
            send()
        assert len({made.parent for made in captured_streams.produced("out")} - {0}) == 2
        assert [made.parent == 0 for made in captured_streams.produced("out")] == [False, True] * 2


def consume(consumer: Any, count: int) -> Any:
    """Receive a number of messages in one batch: librdkafka fetches them before it is asked for them."""
    deadline, messages = monotonic() + PATIENCE_SECONDS, list[Any]()
    while len(messages) < count and monotonic() < deadline:
        messages = consumer.consume(count, 5)
    return messages


@pytest.fixture
def confluent_consumer(kafka: Kafka) -> Any:
    consumer = asyncdsm.wrap(confluent_kafka.Consumer)(consumer_config(kafka))
    yield consumer
    consumer.close()


@each_way
async def test_batch_of_confluent_follows_each_way(
    kafka: Kafka, captured_streams: Captured, confluent_consumer: Any, row: str
) -> None:
    from_start(confluent_consumer, fill_topic(kafka, 3))
    await check_way(row, consume(confluent_consumer, 3), captured_streams)


def test_single_message_of_confluent_is_current_at_once(
    kafka: Kafka, captured_streams: Captured, confluent_consumer: Any
) -> None:
    from_start(confluent_consumer, fill_topic(kafka, 1))
    check_one(consume(confluent_consumer, 1), captured_streams)
    assert confluent_consumer.consume(1, 0.01) == []
    assert asyncdsm.current_pathway() is None


@pytest.fixture
async def aio_consumer(kafka: Kafka) -> AsyncIterator[Any]:
    aio = pytest.importorskip("confluent_kafka.aio", reason="came with 2.13")
    async with asyncdsm.wrap(aio.AIOConsumer(consumer_config(kafka), max_workers=2)) as consumer:
        yield consumer


@each_way
async def test_batch_of_confluent_aio_follows_each_way(
    kafka: Kafka, captured_streams: Captured, aio_consumer: Any, row: str
) -> None:
    await aio_consumer.assign([confluent_kafka.TopicPartition(fill_topic(kafka, 3), 0, 0)])
    await check_way(row, await aio_consumer.consume(3, PATIENCE_SECONDS), captured_streams)


async def test_single_message_of_confluent_aio_is_current_at_once(
    kafka: Kafka, captured_streams: Captured, aio_consumer: Any
) -> None:
    await aio_consumer.assign([confluent_kafka.TopicPartition(fill_topic(kafka, 1), 0, 0)])
    check_one(await aio_consumer.consume(1, PATIENCE_SECONDS), captured_streams)
    executor = aio_consumer.executor
    assert await asyncio.get_running_loop().run_in_executor(executor, asyncdsm.current_pathway) is None


@pytest.mark.parametrize("count", [1, 2])
def test_batch_of_a_share_consumer_makes_messages_current(
    mock_kafka: MockCluster, captured_streams: Captured, count: int
) -> None:
    """Their batch is a sequence of the client's own around a list: what that list follows, it follows."""
    if not hasattr(confluent_kafka, "ShareConsumer"):
        pytest.skip("came with 2.16")
    topic, config = mock_kafka.topic(), {"bootstrap.servers": mock_kafka.bootstrap, "group.id": "s", "log_level": 0}
    consumer: Any = asyncdsm.wrap(confluent_kafka.ShareConsumer)(config)
    consumer.subscribe([topic])
    bare, deadline = bare_class("Producer")({"bootstrap.servers": mock_kafka.bootstrap, "log_level": 0}), monotonic()
    messages: Any = ()
    while len(messages) != count and monotonic() < deadline + PATIENCE_SECONDS:
        for number in range(count):
            bare.produce(topic, "v", partition=0, headers=[(HEADER, context(number).encode())])
        bare.flush(60)
        captured_streams.clear()
        messages = consumer.poll(1)
    consumer.close()
    assert len(messages) == count
    hashes = [made.hash for made in captured_streams.consumed()]
    current = asyncdsm.current_pathway()
    assert [current.hash if current else None] == ([hashes[0]] if count == 1 else [None])
    for number in range(count):
        assert messages[number] is not None
        current = asyncdsm.current_pathway()
        assert current is not None
        assert current.hash == hashes[number]


# FastStream -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", ["kafka", "confluent"])
async def test_using_makes_records_of_a_faststream_batch_current(
    kafka: Kafka, captured_streams: Captured, client: str
) -> None:
    """A handler gets the bodies; the records are in its message."""
    topic, seen, done = fill_topic(kafka, 3), list[Any](), asyncio.Event()
    module: Any = importlib.import_module(f"faststream.{client}")
    broker = module.KafkaBroker(kafka.bootstrap, middlewares=[DataStreamsMiddleware], logger=None)

    async def handle(bodies: list[Any]) -> None:
        assert (asyncdsm.current_pathway() is not None) is (len(bodies) == 1)
        for record in broker.context.get_local("message").raw_message:
            with asyncdsm.using(record) as pathway:
                seen.append(pathway)
                send()
        if len(seen) == 3:
            done.set()

    broker.subscriber(topic, batch=True, auto_offset_reset="earliest")(handle)
    await broker.start()
    try:
        await asyncio.wait_for(done.wait(), PATIENCE_SECONDS)
    finally:
        await broker.stop()
    assert [pathway.hash for pathway in seen] == [made.hash for made in captured_streams.consumed(topic)]
    assert followed(captured_streams) == [0, 1, 2]
