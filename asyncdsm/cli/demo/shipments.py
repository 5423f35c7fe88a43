"""The queue between shipping and mailing, if there is an AWS: a topic of SNS with a subscribed queue of SQS."""

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
async def open_shipment_sender() -> AsyncIterator[Callable[[bytes], Awaitable[object]]]:
    """Yield an async function that publishes a shipment. Without an AWS, it does nothing."""
    if aws_url() is None:
        yield _ignore_shipment
    else:
        async with _open_client("sns") as sns:
            topic = (await sns.create_topic(Name=SHIPMENTS))["TopicArn"]
            yield lambda shipment: sns.publish(TopicArn=topic, Message=shipment.decode())


@asynccontextmanager
async def open_shipment_receiver() -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Yield an async iterator of mails to write. Each one is processed before the next is requested."""
    async with _open_client("sns") as sns, _open_client("sqs") as sqs:
        queue = (await sqs.create_queue(QueueName=MAILS))["QueueUrl"]
        answer = await sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        await _subscribe(sns, queue, answer["Attributes"]["QueueArn"], sqs)
        yield _receive_messages(sqs, queue)


async def _subscribe(sns: Any, queue: str, arn: str, sqs: Any) -> None:
    """Subscribe the queue to the topic, and permit the topic to write to it, which a real AWS requires."""
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


async def _receive_messages(sqs: Any, queue: str) -> AsyncIterator[dict[str, Any]]:
    while True:
        answer = await sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=MOST_MESSAGES, WaitTimeSeconds=WAIT_SECONDS
        )
        for message in answer.get("Messages", []):
            yield message
            await sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def _open_client(service: str) -> Any:
    from aiobotocore.session import get_session  # noqa: PLC0415  (another extra, which may not be installed)

    region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    own = {"aws_access_key_id": "demo", "aws_secret_access_key": "demo"}  # an emulator accepts any key
    keys = {} if "AWS_ACCESS_KEY_ID" in os.environ else own
    session = asyncdsm.wrap(get_session())
    return session.create_client(service, endpoint_url=aws_url(), region_name=region, **keys)


async def _ignore_shipment(_: bytes) -> None:
    return None
