"""What a program receives from a followed client: what it would receive without asyncdsm, and its pathways."""

from __future__ import annotations

import copy
import hashlib
import json
import marshal
import pickle
from typing import Any

import pytest
from asyncdsm_botocore.attributes import hide_context

import asyncdsm
from asyncdsm import UnknownClientError
from asyncdsm.integration.formats.json_context import KEY
from asyncdsm.testing import Captured
from tests.brokers.aws import Aws
from tests.integrations.botocore.clients import NUMBER_AND_BINARY, boto3_client, send_and_receive, wrapped_client

yaml: Any = pytest.importorskip("yaml")


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (None, [KEY]),
        ([], [KEY]),
        (["a"], ["a", KEY]),
        ([KEY], [KEY]),
        (["All"], ["All"]),
        ([".*"], [".*"]),
        (["_data.*"], ["_data.*"]),
        (["other.*"], ["other.*", KEY]),
        ([str(number) for number in range(10)], [str(number) for number in range(10)]),
    ],
)
def test_receive_call_asks_for_the_context_unless_the_program_does(
    ministack: Aws, sqs: Any, names: list[str] | None, asked: list[str]
) -> None:
    queue, seen = ministack.queue(), list[Any]()
    event = "before-parameter-build.sqs.ReceiveMessage"
    sqs.meta.events.register_last(event, lambda params, **_: seen.append(params["MessageAttributeNames"]))
    given = {"QueueUrl": queue} if names is None else {"QueueUrl": queue, "MessageAttributeNames": names}
    kept = copy.deepcopy(given)
    sqs.receive_message(**given)
    assert seen == [asked]
    assert given == kept


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("names", [None, ["a"], ["a", "b"], ["All"]])
def test_received_messages_equal_those_of_a_bare_client(
    ministack: Aws, captured_streams: Captured, names: list[str] | None, count: int
) -> None:
    """From two queues with the same messages, one read by a followed client and one by a bare client."""
    asked: dict[str, Any] = {"MaxNumberOfMessages": 10, "WaitTimeSeconds": 2}
    if names is not None:
        asked["MessageAttributeNames"] = names
    followed, found = wrapped_client(ministack, "sqs"), list[Any]()
    for client in (ministack.bare("sqs"), followed):
        queue = ministack.queue()
        for number in range(count):
            followed.send_message(QueueUrl=queue, MessageBody=str(number), MessageAttributes=NUMBER_AND_BINARY)
        found.append(client.receive_message(QueueUrl=queue, **asked)["Messages"])
    bare, ours = found
    assert len(captured_streams.consumed()) == count
    for one, other in zip(bare, list.copy(ours), strict=True):
        assert type(other) is dict
        assert other.keys() == one.keys()
        if names != ["All"]:  # there our attribute belongs to what was asked for
            assert other.get("MessageAttributes") == one.get("MessageAttributes")
    plain = [dict(message) for message in list.copy(ours)]
    assert ours == plain
    assert repr(ours) == repr(plain)
    assert type(ours) is list or count > 1
    for dump in (yaml.safe_dump, yaml.dump, marshal.dumps, pickle.dumps, copy.copy, copy.deepcopy):
        if count == 1:
            dump(ours)
        dump(plain)
        for message in ours:
            assert dump(message) == dump(dict(message)) or dump is marshal.dumps


def test_message_delivered_raw_by_sns_can_be_written_as_json(ministack: Aws, captured_streams: Captured) -> None:
    """Its context is in bytes, which JSON does not allow."""
    queue = ministack.queue()
    wrapped_client(ministack, "sns").publish(TopicArn=ministack.topic(queue, raw=True), Message="v")
    (message,) = wrapped_client(ministack, "sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=2)["Messages"]
    assert json.loads(json.dumps(message)) == message
    sent, received = captured_streams.checkpoints
    assert received.follows(sent)
    with asyncdsm.using({**message}) as pathway:  # a copy
        assert pathway is not None
        assert pathway.hash == received.hash


def test_context_stays_when_the_program_asked_for_it(ministack: Aws, captured_streams: Captured) -> None:
    sqs, queue = wrapped_client(ministack, "sqs"), ministack.queue()
    sqs.send_message(QueueUrl=queue, MessageBody="v")
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=2, MessageAttributeNames=[KEY])["Messages"]
    assert KEY in message["MessageAttributes"]


DIGESTS = [
    # The digest that SQS documents: lengths, names, types and values in the order of the names.
    ({"n": {"DataType": "String", "StringValue": "v"}}, b"\0\0\0\1n\0\0\0\6String\1\0\0\0\1v"),
    ({"n": {"DataType": "Binary", "BinaryValue": b"\1"}}, b"\0\0\0\1n\0\0\0\6Binary\2\0\0\0\1\1"),
]


@pytest.mark.parametrize(("others", "content"), DIGESTS)
def test_digest_is_recomputed_when_the_context_is_hidden(others: dict[str, Any], content: bytes) -> None:
    ours = {KEY: {"DataType": "String", "StringValue": "{}"}}
    whole = b"\0\0\0\x08_datadog\0\0\0\6String\1\0\0\0\2{}" + content
    message = {
        "MessageAttributes": {**others, **ours},
        "MD5OfMessageAttributes": hashlib.md5(whole, usedforsecurity=False).hexdigest(),
    }
    hide_context(message)
    expected = hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert message == {"MessageAttributes": others, "MD5OfMessageAttributes": expected}


@pytest.mark.parametrize(
    "message", [None, 3, {}, {"MessageAttributes": None}, {"MessageAttributes": []}, {"MessageAttributes": {"a": 1}}]
)
def test_message_without_a_context_stays_unchanged(message: Any) -> None:
    kept = copy.deepcopy(message)
    hide_context(message)
    assert message == kept


def test_attributes_in_odd_shapes_lose_only_the_context() -> None:
    message = {"MessageAttributes": {"a": 1, KEY: 2}, "MD5OfMessageAttributes": "x"}
    hide_context(message)
    assert message == {"MessageAttributes": {"a": 1}, "MD5OfMessageAttributes": "x"}


def test_received_messages_are_plain_dicts(ministack: Aws, captured_streams: Captured) -> None:
    sqs, queue = asyncdsm.wrap(boto3_client(ministack, "sqs")), ministack.queue()
    messages = send_and_receive(sqs, queue)
    (message,) = messages
    plain = {name: message[name] for name in message}
    assert isinstance(message, dict)
    assert message == plain
    assert repr(message) == repr(plain)
    assert json.dumps(messages) == json.dumps([plain])
    pickled = pickle.loads(pickle.dumps(message))  # noqa: S301
    for same in (copy.copy(message), copy.deepcopy(message), pickled, message.copy()):
        assert type(same) is dict
        assert same == plain


def test_message_received_elsewhere_has_the_pathway_that_it_carries(ministack: Aws, captured_streams: Captured) -> None:
    """It was received by another process, or is a copy: its queue is not known, and is not guessed."""
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


def test_record_of_an_unknown_iterator_has_the_pathway_that_it_carries(
    ministack: Aws, captured_streams: Captured
) -> None:
    name, arn = ministack.stream()
    kinesis, bare = wrapped_client(ministack, "kinesis"), ministack.bare("kinesis")
    shard = kinesis.put_record(StreamName=name, Data=b"{}", PartitionKey="p")["ShardId"]
    place = {"StreamName": name, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    (record,) = kinesis.get_records(ShardIterator=bare.get_shard_iterator(**place)["ShardIterator"])["Records"]
    (put,) = captured_streams.checkpoints
    with asyncdsm.using(record) as pathway:
        assert pathway is not None
        assert pathway.hash == put.hash
    kinesis.get_records(ShardIterator=bare.get_shard_iterator(**place)["ShardIterator"], StreamARN=arn)
    assert [made.topic for made in captured_streams.consumed()] == [arn]


def test_receive_call_ends_the_previous_message(ministack: Aws, captured_streams: Captured) -> None:
    sqs, queue = asyncdsm.wrap(boto3_client(ministack, "sqs")), ministack.queue()
    for message in send_and_receive(sqs, queue):
        assert message["Body"] == "v"
        assert asyncdsm.current_pathway() is not None
        sqs.receive_message(QueueUrl=queue)
        assert asyncdsm.current_pathway() is None
