"""asyncdsm reads the messages that ddtrace writes to AWS, and ddtrace those of asyncdsm, with the same parents."""

from __future__ import annotations

import contextvars
import json
from typing import Any, NamedTuple

from boto3.session import Session

import asyncdsm
from asyncdsm.core.context import node_hash, pathway_hash
from asyncdsm.integration.formats.aws import queue_name
from asyncdsm.testing import Captured
from tests.brokers.aws import Aws
from tests.differential.aws_calls import call
from tests.differential.process import VERSION, run

Step = dict[str, Any]
SERVICE = "test"
"""The service of `captured_streams`."""


class Path(NamedTuple):
    """How a message is sent and received, and the tags of its consume checkpoint."""

    sending: Step
    receiving: list[Step]
    tags: tuple[str, ...]


def step(aws: Aws, service: str, operation: str, until: str = "", **params: Any) -> Step:
    return {"service": service, "options": aws.options, "operation": operation, "params": params, "until": until}


def call_under_ddtrace(*steps: Step) -> list[int]:
    """Make the calls under ddtrace; return the hash that is current after each."""
    asked = json.dumps(steps)
    answered = json.loads(run("aws_calls.py", asked, DD_DATA_STREAMS_ENABLED="true", DD_SERVICE=SERVICE))
    assert answered["version"] == VERSION
    hashes: list[int] = answered["hashes"]
    return hashes


def call_under_asyncdsm(*steps: Step) -> None:
    """Make the calls with wrapped clients."""
    session: Any = asyncdsm.wrap(Session())
    answer = dict[str, Any]()
    for each in steps:
        answer = call(session.client(each["service"], **each["options"]), each, answer)


def receive(aws: Aws, queue: str) -> Step:
    return step(aws, "sqs", "receive_message", until="Messages", QueueUrl=queue, WaitTimeSeconds=1)


def tags(direction: str, queue: str) -> tuple[str, ...]:
    return (f"direction:{direction}", f"topic:{queue_name(queue)}", "type:sqs")


def by_sqs(aws: Aws) -> Path:
    queue = aws.queue()
    sending = step(aws, "sqs", "send_message", QueueUrl=queue, MessageBody='{"order": 1}')
    return Path(sending, [receive(aws, queue)], tags("in", queue))


def by_sqs_batch(aws: Aws) -> Path:
    queue = aws.queue()
    sending = step(aws, "sqs", "send_message_batch", QueueUrl=queue, Entries=[{"Id": "1", "MessageBody": "v"}])
    return Path(sending, [receive(aws, queue)], tags("in", queue))


def by_sns(aws: Aws, *, raw: bool) -> Path:
    queue = aws.queue()
    sending = step(aws, "sns", "publish", TopicArn=aws.topic(queue, raw=raw), Message="m")
    return Path(sending, [receive(aws, queue)], tags("in", queue))


def by_kinesis(aws: Aws) -> Path:
    """Read by its ARN: ddtrace knows the stream only if it is given with every call."""
    _, arn = aws.stream()
    shard = aws.bare("kinesis").list_shards(StreamARN=arn)["Shards"][0]["ShardId"]
    return Path(
        step(aws, "kinesis", "put_record", StreamARN=arn, Data='{"order": 1}', PartitionKey="p"),
        [
            step(
                aws, "kinesis", "get_shard_iterator", StreamARN=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
            ),
            step(aws, "kinesis", "get_records", until="Records", StreamARN=arn, ShardIterator=["ShardIterator"]),
        ],
        ("direction:in", f"topic:{arn}", "type:kinesis"),
    )  # fmt: skip


def each_path(ministack: Aws, moto: Aws) -> list[tuple[Aws, Path]]:
    """Return each path that ddtrace supports, with the AWS whose behavior is right for it."""
    made = [(ministack, path(ministack)) for path in (by_sqs, by_sqs_batch, by_kinesis)]
    return [*made, (ministack, by_sns(ministack, raw=True)), (moto, by_sns(moto, raw=False))]


def test_messages_of_ddtrace_are_read_with_the_same_parents(
    ministack: Aws, moto: Aws, captured_streams: Captured
) -> None:
    paths = each_path(ministack, moto)
    written = call_under_ddtrace(*[path.sending for _, path in paths])
    for (_, path), hash_ in zip(paths, written, strict=True):
        captured_streams.clear()
        call_under_asyncdsm(*path.receiving)
        (made,) = captured_streams.checkpoints
        assert (made.tags, made.parent) == (path.tags, hash_)
    assert captured_streams.stats().malformed == 0


def test_ddtrace_reads_messages_with_the_same_parents(ministack: Aws, moto: Aws, captured_streams: Captured) -> None:
    """It also names the next hop, which asyncdsm reads again."""
    paths = each_path(ministack, moto)
    onward = [aws.queue() for aws, _ in paths]
    call_under_asyncdsm(*[path.sending for _, path in paths])
    written = [made.hash for made in captured_streams.checkpoints]
    steps = [
        [*path.receiving, step(aws, "sqs", "send_message", QueueUrl=queue, MessageBody="v")]
        for (aws, path), queue in zip(paths, onward, strict=True)
    ]
    hashes = iter(call_under_ddtrace(*[each for of_path in steps for each in of_path]))
    for (aws, path), of_path, queue, hash_ in zip(paths, steps, onward, written, strict=True):
        *_, read, sent = [next(hashes) for _ in of_path]
        assert read == pathway_hash(node_hash(SERVICE, None, path.tags), hash_)
        assert sent == pathway_hash(node_hash(SERVICE, None, tags("out", queue)), read)
        captured_streams.clear()
        call_under_asyncdsm(receive(aws, queue))
        assert captured_streams.checkpoints[0].parent == sent


def test_eventbridge_edge_has_the_tags_of_ddtrace(ministack: Aws, captured_streams: Captured) -> None:
    """ddtrace writes a context into an event, but does not read it from a queue; asyncdsm does both."""
    queue = ministack.queue()
    entry = {"Source": ministack.rule(queue), "DetailType": "order", "Detail": '{"order": 1}'}
    put = step(ministack, "events", "put_events", Entries=[entry])
    (written,) = call_under_ddtrace(put)
    call_under_asyncdsm(receive(ministack, queue))
    contextvars.Context().run(call_under_asyncdsm, put)  # what is sent elsewhere does not follow the message
    read, sent = captured_streams.checkpoints
    assert read.parent == written
    assert sent.hash == written
