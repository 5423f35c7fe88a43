"""The user's program is never harmed by handlers on botocore's events, which come once and go again."""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy, deepcopy
from typing import Any

import botocore.session
import pytest
from aiobotocore.session import AioSession
from asyncdsm_botocore.consume import RecentEntries
from asyncdsm_botocore.kinesis_reader import Shard
from boto3.session import Session
from botocore.client import BaseClient

import asyncdsm
from asyncdsm import UnknownClientError
from asyncdsm.integration.formats.aws import queue_name
from asyncdsm.integration.formats.json_context import KEY
from asyncdsm.testing import Captured, capture
from tests.brokers.aws import Aws


def boto3_client(aws: Aws, service: str) -> Any:
    session: Any = Session()
    return session.client(service, **aws.options)


def async_session() -> Any:
    return AioSession()


def passed_on(sqs: Any, queue: str) -> Any:
    sqs.send_message(QueueUrl=queue, MessageBody="v")
    answer = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=answer["Messages"][0]["ReceiptHandle"])
    return answer["Messages"]


def directions(captured: Captured) -> list[str | None]:
    return [made.tag("direction") for made in captured.checkpoints]


def test_every_object_that_has_a_client(ministack: Aws, captured_streams: Captured) -> None:
    queue = ministack.queue()
    session: Any = Session()
    inner: Any = botocore.session.get_session()
    resource: Any = Session().resource("sqs", **ministack.options)
    assert asyncdsm.wrap(session) is session
    assert asyncdsm.wrap(asyncdsm.wrap(inner)) is inner
    assert asyncdsm.wrap(resource) is resource
    of_session = session.client("sqs", **ministack.options)
    assert asyncdsm.wrap(asyncdsm.wrap(of_session)) is of_session
    for sqs in (of_session, inner.create_client("sqs", **ministack.options), resource.meta.client):
        captured_streams.clear()
        passed_on(sqs, queue)
        assert directions(captured_streams) == ["out", "in"]
    with pytest.raises(UnknownClientError):
        asyncdsm.wrap(object())


def test_a_resource_of_boto3(ministack: Aws, captured_streams: Captured) -> None:
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


def test_instrument_covers_clients_made_later_in_any_session(ministack: Aws, captured_streams: Captured) -> None:
    queue, original = ministack.queue(), BaseClient.__init__
    session: Any = Session()
    earlier = session.client("sqs", **ministack.options)
    asyncdsm.instrument("botocore")
    asyncdsm.instrument("botocore")
    try:
        later = session.client("sqs", **ministack.options)
        wrapped = asyncdsm.wrap(session.client("sqs", **ministack.options))
        for sqs, expected in ((earlier, []), (later, ["out", "in"]), (wrapped, ["out", "in"])):
            captured_streams.clear()
            passed_on(sqs, queue)
            assert directions(captured_streams) == expected
    finally:
        asyncdsm.uninstrument("botocore")
    assert BaseClient.__init__ is original
    for sqs, expected in ((later, []), (wrapped, ["out", "in"]), (session.client("sqs", **ministack.options), [])):
        captured_streams.clear()
        passed_on(sqs, queue)
        assert directions(captured_streams) == expected


async def test_instrument_covers_aiobotocore(ministack: Aws, captured_streams: Captured) -> None:
    queue = ministack.queue()
    asyncdsm.instrument("botocore")
    try:
        async with async_session().create_client("sqs", **ministack.options) as sqs:
            await sqs.send_message(QueueUrl=queue, MessageBody="v")
            await sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)
    finally:
        asyncdsm.uninstrument("botocore")
    assert directions(captured_streams) == ["out", "in"]


def test_other_services_have_no_handlers(ministack: Aws) -> None:
    for service in ("s3", "dynamodb"):
        client = asyncdsm.wrap(boto3_client(ministack, service))
        registered = client.meta.events._emitter._unique_id_handlers
        assert not [name for name in registered if str(name).startswith("asyncdsm")]


def test_with_nothing_running_wrapped_is_as_bare(ministack: Aws) -> None:
    queue = ministack.queue()
    (message,) = passed_on(asyncdsm.wrap(boto3_client(ministack, "sqs")), queue)
    assert type(message) is dict
    assert "MessageAttributes" not in message


def test_messages_stay_dicts(ministack: Aws, captured_streams: Captured) -> None:
    sqs, queue = asyncdsm.wrap(boto3_client(ministack, "sqs")), ministack.queue()
    messages = passed_on(sqs, queue)
    (message,) = messages
    plain = {name: message[name] for name in message}
    assert isinstance(message, dict)
    assert message == plain
    assert repr(message) == repr(plain)
    assert json.dumps(messages) == json.dumps([plain])
    pickled = pickle.loads(pickle.dumps(message))  # noqa: S301
    for same in (copy(message), deepcopy(message), pickled, message.copy()):
        assert type(same) is dict
        assert same == plain


def test_messages_from_elsewhere_go_on_as_they_came(ministack: Aws, captured_streams: Captured) -> None:
    """Another process, or a copy: which queue it came from is not known, and not made up."""
    sqs, queue = asyncdsm.wrap(boto3_client(ministack, "sqs")), ministack.queue()
    sqs.send_message(QueueUrl=queue, MessageBody="v")
    (message,) = ministack.on_queue(queue)
    (sent,) = captured_streams.checkpoints
    with asyncdsm.using(message) as pathway:
        assert pathway is not None
        assert pathway.hash == sent.hash
    with asyncdsm.using({"MessageId": "1", "ReceiptHandle": "2", "Body": "3"}) as pathway:
        assert pathway is not None
        assert pathway.hash == 0
    with pytest.raises(UnknownClientError), asyncdsm.using({"Body": "3"}):
        pass


def test_who_asks_for_the_next_messages_is_done_with_the_last(ministack: Aws, captured_streams: Captured) -> None:
    sqs, queue = asyncdsm.wrap(boto3_client(ministack, "sqs")), ministack.queue()
    for message in passed_on(sqs, queue):
        assert message["Body"] == "v"
        assert asyncdsm.current_pathway() is not None
        sqs.receive_message(QueueUrl=queue)
        assert asyncdsm.current_pathway() is None


async def of_a_session(aws: Aws, service: str) -> AsyncIterator[Any]:
    async with asyncdsm.wrap(async_session()).create_client(service, **aws.options) as client:
        yield client


async def of_a_client(aws: Aws, service: str) -> AsyncIterator[Any]:
    async with async_session().create_client(service, **aws.options) as client:
        yield asyncdsm.wrap(asyncdsm.wrap(client))


async def of_all(aws: Aws, service: str) -> AsyncIterator[Any]:
    asyncdsm.instrument("botocore")
    try:
        async with async_session().create_client(service, **aws.options) as client:
            yield client
    finally:
        asyncdsm.uninstrument("botocore")


@pytest.mark.parametrize("made", [of_a_session, of_a_client, of_all])
async def test_wait_for_never_leaves_the_message_before(ministack: Aws, captured_streams: Captured, made: Any) -> None:
    """Before Python 3.12 it receives in a task of its own: its caller has no pathway then, never a wrong one."""
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


async def test_a_hundred_tasks_each_with_its_message(ministack: Aws, captured_streams: Captured) -> None:
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


def broken(*_: Any, **__: Any) -> None:
    raise RuntimeError("planted")


def test_an_error_of_ours_stays_ours(ministack: Aws, moto: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    queue, (stream, _) = ministack.queue(), ministack.stream()
    with capture() as captured:
        captured.strict = False
        sqs, kinesis, sns, events = (
            asyncdsm.wrap(boto3_client(ministack, service)) for service in ("sqs", "kinesis", "sns", "events")
        )
        monkeypatch.setattr(captured, "now", broken)  # every checkpoint asks for the time
        (message,) = passed_on(sqs, queue)
        assert (message["Body"], type(message)) == ("v", dict)
        sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": "1", "MessageBody": "v"}])
        sns.publish(TopicArn=ministack.topic(), Message="m")
        events.put_events(Entries=[{"Source": "s", "DetailType": "t", "Detail": "{}"}])
        put = kinesis.put_record(StreamName=stream, Data=b"{}", PartitionKey="p")
        kinesis.put_records(StreamName=stream, Records=[{"Data": b"{}", "PartitionKey": "p"}])
        place = {"StreamName": stream, "ShardId": put["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        answer = kinesis.get_records(ShardIterator=kinesis.get_shard_iterator(**place)["ShardIterator"])
        assert [record["Data"] for record in answer["Records"]] == [b"{}"] * 2
        assert captured.stats().errors == 8
        assert asyncdsm.current_pathway() is None


def test_iterators_are_remembered_within_bounds() -> None:
    memory, shard = RecentEntries[str, Shard](100), Shard("stream", "shardId-000000000003")
    for number in range(1000):
        memory.put(str(number), shard)
    remembered = [number for number in range(1000) if memory.get(str(number))]
    assert 50 <= len(remembered) <= 100
    assert remembered[-1] == 999
    assert shard.number == 3
    assert Shard("stream", "other").number == -1
