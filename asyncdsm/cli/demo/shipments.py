"""From shipping to mailing, where there is an AWS: a topic of SNS that a queue of SQS has subscribed to."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncdsm
from asyncdsm.cli.demo.service import aws_url

SHIPMENTS, MAILS = "shipments", "mails"
WAIT_SECONDS = 1
MOST_MESSAGES = 10


@asynccontextmanager
async def outgoing() -> AsyncIterator[Callable[[bytes], Awaitable[object]]]:
    """Yield what publishes a shipment: nothing, without an AWS."""
    if aws_url() is None:
        yield _nowhere
    else:
        async with _client("sns") as sns:
            topic = (await sns.create_topic(Name=SHIPMENTS))["TopicArn"]
            yield lambda shipment: sns.publish(TopicArn=topic, Message=shipment.decode())


@asynccontextmanager
async def incoming() -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Yield the mails to write, each done with when the next is asked for."""
    async with _client("sns") as sns, _client("sqs") as sqs:
        queue = (await sqs.create_queue(QueueName=MAILS))["QueueUrl"]
        answer = await sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        await _subscribe(sns, queue, answer["Attributes"]["QueueArn"], sqs)
        yield _received(sqs, queue)


async def _subscribe(sns: Any, queue: str, arn: str, sqs: Any) -> None:
    """Subscribe the queue, and let the topic write to it, which an AWS that is real asks for."""
    topic = (await sns.create_topic(Name=SHIPMENTS))["TopicArn"]
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    await sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    await sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)


async def _received(sqs: Any, queue: str) -> AsyncIterator[dict[str, Any]]:
    while True:
        answer = await sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=MOST_MESSAGES, WaitTimeSeconds=WAIT_SECONDS
        )
        for message in answer.get("Messages", []):
            yield message
            await sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def _client(service: str) -> Any:
    from aiobotocore.session import get_session  # noqa: PLC0415  (an extra of its own)

    region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    own = {"aws_access_key_id": "demo", "aws_secret_access_key": "demo"}  # a local AWS takes any
    keys = {} if "AWS_ACCESS_KEY_ID" in os.environ else own
    session = asyncdsm.wrap(get_session())
    return session.create_client(service, endpoint_url=aws_url(), region_name=region, **keys)


async def _nowhere(_: bytes) -> None:
    return None
