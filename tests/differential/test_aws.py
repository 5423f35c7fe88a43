"""Messages that ddtrace writes to AWS are read by us, and ours by ddtrace, with the same parents."""

from __future__ import annotations

import contextvars
import json
from typing import Any, NamedTuple

from boto3.session import Session

import asyncdsm
from asyncdsm.core.pathway import node_hash, pathway_hash
from asyncdsm.integration.formats.aws import queue_name
from asyncdsm.testing import Captured
from tests.brokers.aws import Aws
from tests.differential.aws_calls import call
from tests.differential.process import VERSION, run

Step = dict[str, Any]
SERVICE = "test"
"""The name that `captured_streams` goes by."""


class Path(NamedTuple):
    """How a message is sent and received, and the tags of its consume checkpoint."""

    sending: Step
    receiving: list[Step]
    tags: tuple[str, ...]


def step(aws: Aws, service: str, operation: str, until: str = "", **params: Any) -> Step:
    return {"service": service, "options": aws.options, "operation": operation, "params": params, "until": until}


def theirs(*steps: Step) -> list[int]:
    """Make the calls under ddtrace; return the hash that is current behind each."""
    asked = json.dumps(steps)
    answered = json.loads(run("aws_calls.py", asked, DD_DATA_STREAMS_ENABLED="true", DD_SERVICE=SERVICE))
    assert answered["version"] == VERSION
    hashes: list[int] = answered["hashes"]
    return hashes


def ours(*steps: Step) -> None:
    """Make the calls under our handlers."""
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
    """Read by its ARN: ddtrace knows the stream only where it is given with every call."""
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
    """Each that ddtrace supports, on the AWS that is right there."""
    made = [(ministack, path(ministack)) for path in (by_sqs, by_sqs_batch, by_kinesis)]
    return [*made, (ministack, by_sns(ministack, raw=True)), (moto, by_sns(moto, raw=False))]


def test_we_read_what_ddtrace_writes(ministack: Aws, moto: Aws, captured_streams: Captured) -> None:
    paths = each_path(ministack, moto)
    written = theirs(*[path.sending for _, path in paths])
    for (_, path), hash_ in zip(paths, written, strict=True):
        captured_streams.clear()
        ours(*path.receiving)
        (made,) = captured_streams.checkpoints
        assert (made.tags, made.parent) == (path.tags, hash_)
    assert captured_streams.stats().malformed == 0


def test_ddtrace_reads_what_we_write(ministack: Aws, moto: Aws, captured_streams: Captured) -> None:
    """And names the next hop, which we read in our turn."""
    paths = each_path(ministack, moto)
    onward = [aws.queue() for aws, _ in paths]
    ours(*[path.sending for _, path in paths])
    written = [made.hash for made in captured_streams.checkpoints]
    steps = [
        [*path.receiving, step(aws, "sqs", "send_message", QueueUrl=queue, MessageBody="v")]
        for (aws, path), queue in zip(paths, onward, strict=True)
    ]
    hashes = iter(theirs(*[each for of_path in steps for each in of_path]))
    for (aws, path), of_path, queue, hash_ in zip(paths, steps, onward, written, strict=True):
        *_, read, sent = [next(hashes) for _ in of_path]
        assert read == pathway_hash(node_hash(SERVICE, None, path.tags), hash_)
        assert sent == pathway_hash(node_hash(SERVICE, None, tags("out", queue)), read)
        captured_streams.clear()
        ours(receive(aws, queue))
        assert captured_streams.checkpoints[0].parent == sent


def test_both_name_an_event_of_eventbridge_alike(ministack: Aws, captured_streams: Captured) -> None:
    """ddtrace writes a context into an event, and does not read it from a queue; we do both."""
    queue = ministack.queue()
    entry = {"Source": ministack.rule(queue), "DetailType": "order", "Detail": '{"order": 1}'}
    put = step(ministack, "events", "put_events", Entries=[entry])
    (written,) = theirs(put)
    ours(receive(ministack, queue))
    contextvars.Context().run(ours, put)  # what is sent elsewhere does not follow the message
    read, sent = captured_streams.checkpoints
    assert read.parent == written
    assert sent.hash == written
