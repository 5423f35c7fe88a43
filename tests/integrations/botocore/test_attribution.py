"""Each client of AWS on each path through it, over real sockets: parents, tags and origins."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from boto3.session import Session

import asyncdsm
from asyncdsm.integration.formats.aws import queue_name
from asyncdsm.integration.formats.json_context import KEY
from asyncdsm.testing import Captured, Checkpoint
from tests.brokers.aws import Aws
from tests.integrations.botocore.clients import CLIENTS, Call, Drive, async_session

MOST_POLLS = 20


NS_PER_MS = 1_000_000


async def receive_messages(call: Call, queue: str, count: int = 1) -> AsyncIterator[dict[str, Any]]:
    """Yield received messages, each made current by the list that contains it."""
    seen = 0
    for _ in range(MOST_POLLS):
        asked = {"MaxNumberOfMessages": 10, "WaitTimeSeconds": 1, "MessageAttributeNames": ["All"]}
        answer = await call("sqs", "receive_message", QueueUrl=queue, **asked)
        messages = answer.get("Messages", [])
        for message in messages:
            assert asyncdsm.current_pathway() is not None
            seen += 1
            yield message
        assert (asyncdsm.current_pathway() is None) is (len(messages) != 1)
        if seen >= count:
            return
    raise AssertionError(f"{seen} of {count} messages came")


async def send(call: Call, queue: str, body: str = "v") -> None:
    await call("sqs", "send_message", QueueUrl=queue, MessageBody=body)


async def read_records(call: Call, stream: dict[str, str]) -> AsyncIterator[dict[str, Any]]:
    """Yield the first records of a stream's only shard."""
    shards = await call("kinesis", "list_shards", **stream)
    shard = shards["Shards"][0]["ShardId"]
    answer = await call("kinesis", "get_shard_iterator", ShardId=shard, ShardIteratorType="TRIM_HORIZON", **stream)
    iterator = answer["ShardIterator"]
    for _ in range(MOST_POLLS):
        answer = await call("kinesis", "get_records", ShardIterator=iterator)
        iterator = answer["NextShardIterator"]
        for record in answer["Records"]:
            yield record
        if answer["Records"]:
            return
    raise AssertionError("no record came")


def tags(direction: str, kind: str, topic: str, *more: str) -> tuple[str, ...]:
    return tuple(sorted((f"direction:{direction}", f"topic:{topic}", f"type:{kind}", *more)))


def sqs(direction: str, queue: str) -> tuple[str, ...]:
    return tags(direction, "sqs", queue_name(queue))


def check_chain(chain: list[Checkpoint], *expected: tuple[str, ...]) -> None:
    """Check the tags and the parents of a chain, and that all have the start of the first one."""
    assert [made.tags for made in chain] == list(expected)
    assert chain[0].parent == 0
    for before, made in pairwise(chain):
        assert made.follows(before)
        assert made.edge_latency >= 0
    first = chain[0].time_ns
    for made in chain:
        assert abs(made.time_ns - made.pathway_latency * 1e9 - first) < 2 * NS_PER_MS  # the wire has milliseconds
        assert made.size is not None


async def sqs_to_sqs(aws: Aws, call: Call, captured: Captured) -> None:
    first, second = aws.queue(), aws.queue()
    await send(call, first)
    async for _ in receive_messages(call, first):
        await send(call, second)
    async for message in receive_messages(call, second):
        assert message["Body"] == "v"
    check_chain(
        captured.checkpoints, sqs("out", first), sqs("in", first), sqs("out", second), sqs("in", second)
    )  # fmt: skip


async def sqs_fifo(aws: Aws, call: Call, captured: Captured) -> None:
    queue = aws.queue(FifoQueue="true")
    await call(
        "sqs", "send_message", QueueUrl=queue, MessageBody="v", MessageGroupId="g", MessageDeduplicationId="1"
    )  # fmt: skip
    async for message in receive_messages(call, queue):
        assert message["Body"] == "v"
    check_chain(captured.checkpoints, sqs("out", queue), sqs("in", queue))


async def sqs_batch(aws: Aws, call: Call, captured: Captured) -> None:
    """Messages of three pathways in one batch: each is forwarded on its own."""
    sources = [aws.queue() for _ in range(3)]
    first, second = aws.queue(), aws.queue()
    for source in sources:
        await send(call, source, source)
    for source in sources:
        async for _ in receive_messages(call, source):
            await call("sqs", "send_message_batch", QueueUrl=first, Entries=[{"Id": "1", "MessageBody": source}])
    async for message in receive_messages(call, first, len(sources)):
        await call("sqs", "send_message_batch", QueueUrl=second, Entries=[{"Id": "x", "MessageBody": message["Body"]}])
    async for message in receive_messages(call, second, len(sources)):
        with asyncdsm.using(message) as pathway:
            assert pathway == asyncdsm.current_pathway()
    assert len({made.hash for made in captured.produced(queue_name(second))}) == len(sources)
    for source in sources:
        (made,) = captured.consumed(queue_name(source))
        chain = [made, *find_following(captured, made)]
        assert [each.topic for each in chain] == [queue_name(each) for each in (source, first, first, second, second)]


def find_following(captured: Captured, made: Checkpoint) -> list[Checkpoint]:
    """Return the checkpoints that follow one, and check that each is followed by at most one."""
    chain = list[Checkpoint]()
    while following := [each for each in captured.checkpoints if each.follows(made)]:
        (made,) = following
        chain.append(made)
    return chain


async def sns_to_sqs(aws: Aws, call: Call, captured: Captured, *, raw: bool, queues: int = 1) -> None:
    source, targets = aws.queue(), [aws.queue() for _ in range(queues)]
    topic = aws.topic(*targets, raw=raw, FilterPolicy=json.dumps({"kind": ["order"]}))
    await send(call, source)
    async for _ in receive_messages(call, source):
        for kind in ("other", "order"):
            attributes = {"kind": {"DataType": "String", "StringValue": kind}}
            await call("sns", "publish", TopicArn=topic, Message=kind, MessageAttributes=attributes)
    for target in targets:
        async for message in receive_messages(call, target):
            given = message if raw else json.loads(message["Body"])
            assert given["Body" if raw else "Message"] == "order"
            # A String would not get past filter policies everywhere (serverless-plugin-datadog#232).
            assert given["MessageAttributes"]["_datadog"]["DataType" if raw else "Type"] == "Binary"
    start, come, _, published = captured.checkpoints[:4]
    assert len(captured.checkpoints) == 4 + queues
    for target, made in zip(targets, captured.checkpoints[4:], strict=True):
        chain = [start, come, published, made]
        check_chain(chain, sqs("out", source), sqs("in", source), tags("out", "sns", topic), sqs("in", target))


async def sns_raw(aws: Aws, call: Call, captured: Captured) -> None:
    await sns_to_sqs(aws, call, captured, raw=True)


async def sns_not_raw(aws: Aws, call: Call, captured: Captured) -> None:
    await sns_to_sqs(aws, call, captured, raw=False)


async def sns_raw_to_three(aws: Aws, call: Call, captured: Captured) -> None:
    await sns_to_sqs(aws, call, captured, raw=True, queues=3)


async def sns_not_raw_to_three(aws: Aws, call: Call, captured: Captured) -> None:
    await sns_to_sqs(aws, call, captured, raw=False, queues=3)


async def sns_batch_not_raw(aws: Aws, call: Call, captured: Captured) -> None:
    target = aws.queue()
    topic = aws.topic(target)
    entries = [{"Id": "1", "Message": "one"}, {"Id": "2", "Message": "two"}]
    await call("sns", "publish_batch", TopicArn=topic, PublishBatchRequestEntries=entries)
    bodies = {json.loads(message["Body"])["Message"] async for message in receive_messages(call, target, 2)}
    assert bodies == {"one", "two"}
    assert [made.tags for made in captured.produced()] == [tags("out", "sns", topic)] * 2
    assert all(made.follows(captured.produced()[0]) for made in captured.consumed())


async def kinesis_json_by_name(aws: Aws, call: Call, captured: Captured) -> None:
    name, _ = aws.stream()
    await kinesis_json(aws, call, captured, {"StreamName": name}, name)


async def kinesis_json_by_arn(aws: Aws, call: Call, captured: Captured) -> None:
    _, arn = aws.stream()
    await kinesis_json(aws, call, captured, {"StreamARN": arn}, arn)


async def kinesis_json(aws: Aws, call: Call, captured: Captured, stream: dict[str, str], topic: str) -> None:
    source, target = aws.queue(), aws.queue()
    await send(call, source)
    async for _ in receive_messages(call, source):
        await call("kinesis", "put_record", Data=b'{"order": 1}', PartitionKey="p", **stream)
    async for record in read_records(call, stream):
        assert json.loads(record["Data"])["order"] == 1
        await send(call, target)
    check_chain(
        captured.checkpoints,
        sqs("out", source),
        sqs("in", source),
        tags("out", "kinesis", topic),
        tags("in", "kinesis", topic),
        sqs("out", target),
    )


async def kinesis_binary(aws: Aws, call: Call, captured: Captured) -> None:
    """No place for a context: the pathway ends at the stream, and another starts with the record's arrival."""
    name, _ = aws.stream()
    target, data = aws.queue(), b"\xf3\x89\x9a\xc2\x00{}"
    entries = [{"Data": data, "PartitionKey": "p"}]
    await call("kinesis", "put_records", StreamName=name, Records=entries)
    arrived = 0.0
    async for record in read_records(call, {"StreamName": name}):
        assert record["Data"] == data
        arrived = record["ApproximateArrivalTimestamp"].timestamp()
        await send(call, target)
    put, read, sent = captured.checkpoints
    assert [put.tags, read.tags] == [tags("out", "kinesis", name), tags("in", "kinesis", name)]
    assert (put.parent, read.parent) == (0, 0)
    assert sent.follows(read)
    assert read.edge_latency == read.pathway_latency == pytest.approx(read.time_ns / 1e9 - arrived, abs=0.001)
    assert captured.stats().not_propagated == 1


async def eventbridge_to_sqs(aws: Aws, call: Call, captured: Captured) -> None:
    source, target = aws.queue(), aws.queue()
    rule, detail = aws.rule(target), {"order": 1, "ü": [1.0]}
    await send(call, source)
    async for _ in receive_messages(call, source):
        entry = {"Source": rule, "DetailType": "order.created", "Detail": json.dumps(detail)}
        await call("events", "put_events", Entries=[entry])
    async for message in receive_messages(call, target):
        got = json.loads(message["Body"])["detail"]
        assert {name: value for name, value in got.items() if name != "_datadog"} == detail
    check_chain(
        captured.checkpoints,
        sqs("out", source),
        sqs("in", source),
        tags("out", "eventbridge", "order.created", "exchange:default"),
        sqs("in", target),
    )


Path = Callable[[Aws, Call, Captured], Awaitable[None]]


PATHS = [
    ("ministack", sqs_to_sqs),
    ("ministack", sqs_fifo),
    ("ministack", sqs_batch),
    ("ministack", sns_raw),
    ("ministack", sns_raw_to_three),
    ("moto", sns_not_raw),
    ("moto", sns_not_raw_to_three),
    ("moto", sns_batch_not_raw),
    ("ministack", kinesis_json_by_name),
    ("ministack", kinesis_json_by_arn),
    ("moto", kinesis_binary),
    ("ministack", eventbridge_to_sqs),
]


@pytest.mark.parametrize("drive", CLIENTS, ids=lambda drive: drive.__name__)
@pytest.mark.parametrize(("broker", "path"), PATHS, ids=[path.__name__ for _, path in PATHS])
def test_each_client_makes_the_chain_of_each_path(
    request: pytest.FixtureRequest, captured_streams: Captured, broker: str, path: Path, drive: Drive
) -> None:
    aws: Aws = request.getfixturevalue(broker)

    async def main(call: Call) -> None:
        await path(aws, call, captured_streams)

    drive(aws, main)
    assert captured_streams.stats().malformed == 0


async def client_of_wrapped_session(aws: Aws, service: str) -> AsyncIterator[Any]:
    async with asyncdsm.wrap(async_session()).create_client(service, **aws.options) as client:
        yield client


async def wrapped_async_client(aws: Aws, service: str) -> AsyncIterator[Any]:
    async with async_session().create_client(service, **aws.options) as client:
        yield asyncdsm.wrap(asyncdsm.wrap(client))


async def client_of_instrumented_package(aws: Aws, service: str) -> AsyncIterator[Any]:
    asyncdsm.instrument("botocore")
    try:
        async with async_session().create_client(service, **aws.options) as client:
            yield client
    finally:
        asyncdsm.uninstrument("botocore")


@pytest.mark.parametrize("made", [client_of_wrapped_session, wrapped_async_client, client_of_instrumented_package])
async def test_wait_for_never_leaves_the_previous_message_current(
    ministack: Aws, captured_streams: Captured, made: Any
) -> None:
    """Before Python 3.12 `wait_for` runs the call in another task; its caller then has no pathway, not a wrong one."""
    queue, (stream, _) = ministack.queue(), ministack.stream()
    async with asynccontextmanager(made)(ministack, "sqs") as sqs:
        await sqs.send_message(QueueUrl=queue, MessageBody="v")
        asyncdsm.consume_lambda_event({"detail-type": "before", "detail": {}})
        assert asyncdsm.current_pathway() is not None
        answer = await asyncio.wait_for(sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5), 10)
        with asyncdsm.using(list.copy(answer["Messages"])[0]) as expected:
            pass
        assert asyncdsm.current_pathway() == (expected if sys.version_info >= (3, 12) else None)
        for _ in answer["Messages"]:
            assert asyncdsm.current_pathway() == expected
    async with asynccontextmanager(made)(ministack, "kinesis") as kinesis:
        shard = (await kinesis.put_record(StreamName=stream, Data=b"{}", PartitionKey="p"))["ShardId"]
        place = {"StreamName": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        iterator = (await kinesis.get_shard_iterator(**place))["ShardIterator"]
        asyncdsm.consume_lambda_event({"detail-type": "before", "detail": {}})
        answer = await asyncio.wait_for(kinesis.get_records(ShardIterator=iterator), 10)
        with asyncdsm.using(list.copy(answer["Records"])[0]) as expected:
            pass
        assert asyncdsm.current_pathway() == (expected if sys.version_info >= (3, 12) else None)


async def test_hundred_tasks_each_have_the_parent_of_their_message(ministack: Aws, captured_streams: Captured) -> None:
    source, target = ministack.queue(), ministack.queue()
    async with asyncdsm.wrap(async_session()).create_client("sqs", **ministack.options) as sqs:

        async def forward(message: dict[str, Any]) -> None:
            with asyncdsm.using(message) as pathway:
                await asyncio.sleep(0)
                expected[message["Body"]] = 0 if pathway is None else pathway.hash
                await sqs.send_message(QueueUrl=target, MessageBody=message["Body"])

        expected, seen = dict[str, int](), 0
        for number in range(10):  # ten pathways that differ, of ten messages each
            queue = ministack.queue()
            await sqs.send_message(QueueUrl=queue, MessageBody="v")
            for _ in (await sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5))["Messages"]:
                entries = [{"Id": str(each), "MessageBody": f"{number}-{each}"} for each in range(10)]
                await sqs.send_message_batch(QueueUrl=source, Entries=entries)
        for _ in range(50):
            answer = await sqs.receive_message(QueueUrl=source, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            await asyncio.gather(*map(forward, answer.get("Messages", [])))
            seen += len(answer.get("Messages", []))
            if seen == 100:
                break
    assert len(expected) == 100
    assert len(set(expected.values())) == 10
    by_body = {message["Body"]: message for message in ministack.on_queue(target, 100)}
    assert by_body.keys() == expected.keys()
    made = {each.hash: each.parent for each in captured_streams.produced(queue_name(target))}
    for body, message in by_body.items():
        text = json.loads(message["MessageAttributes"][KEY]["StringValue"])["dd-pathway-ctx-base64"]
        context = asyncdsm.Pathway.decode_base64(text)
        assert context is not None
        assert made[context.hash] == expected[body]


def test_message_of_a_boto3_resource_has_its_pathway(ministack: Aws, captured_streams: Captured) -> None:
    resource: Any = Session().resource("sqs", **ministack.options)
    queue = asyncdsm.wrap(resource.Queue(ministack.queue()))
    queue.send_message(MessageBody="v")
    (message,) = queue.receive_messages(WaitTimeSeconds=5)
    sent, read = captured_streams.checkpoints
    assert read.follows(sent)
    assert message.body == "v"
    with asyncdsm.using(message) as pathway:
        assert pathway is not None
        assert pathway.hash == read.hash
