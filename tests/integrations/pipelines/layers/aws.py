"""Programs on the clients of AWS, which stand on botocore."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.httpxsession import HttpxSession
from aiobotocore.session import get_session
from boto3.session import Session

import asyncdsm
from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from tests.brokers.aws import Aws
from tests.integrations.pipelines.layers.log import COUNT, SENDER, Follow, Log


async def aiobotocore(aws: Aws, follow: Follow) -> Log:
    """aiobotocore, on botocore."""
    async with follow(get_session()).create_client("sqs", **aws.options) as client:
        return await _sqs(aws, client)


async def aiobotocore_on_httpx(aws: Aws, follow: Follow) -> Log:
    """aiobotocore with its httpx backend."""
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
            log.note(_context_of(message))
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
                    log.note(_context_of(message.meta.data))
    return log


def _context_of(message: Any) -> str:
    """Return the context among the attributes of a message."""
    context: str = json.loads(message["MessageAttributes"]["_datadog"]["StringValue"])[HEADER]
    return context
