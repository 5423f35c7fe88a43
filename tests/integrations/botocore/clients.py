"""Clients of AWS for the tests, and a way to run one async test function with each kind of client."""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import anyio
import botocore.session
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from boto3.session import Session

import asyncdsm
from asyncdsm.core.context import HEADER
from asyncdsm.integration.formats.json_context import KEY
from asyncdsm.testing import Captured
from tests.brokers.aws import Aws

KIB, MIB = 1 << 10, 1 << 20
CONTEXT_BYTES = len(KEY) + len(json.dumps({HEADER: ""}, separators=(",", ":"))) + 28
"""What a context adds to the size of a message with attributes."""
KEYS = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
"""For clients that connect to nothing."""
QUEUE = "http://127.0.0.1/0/orders"
"""A queue for such clients."""
NUMBER_AND_BINARY = {
    "a": {"DataType": "Number", "StringValue": "1"},
    "b": {"DataType": "Binary", "BinaryValue": b"\x00"},
}
"""Attributes of a message."""

Call = Callable[..., Awaitable[dict[str, Any]]]
"""Makes a call: `await call("sqs", "send_message", QueueUrl=…)`."""
Main = Callable[[Call], Awaitable[None]]
Drive = Callable[[Aws, Main], None]


def aiobotocore_on_asyncio(aws: Aws, main: Main) -> None:
    """Run `main` with the clients of a wrapped session of aiobotocore, on asyncio."""
    anyio.run(_with_session, aws, main, None, backend="asyncio")


def aiobotocore_on_trio(aws: Aws, main: Main) -> None:
    """Run `main` with the clients of a wrapped session of aiobotocore, on trio: its httpx backend runs there."""
    from aiobotocore.httpxsession import HttpxSession  # not in old versions

    anyio.run(_with_session, aws, main, AioConfig(http_session_cls=HttpxSession), backend="trio")


def botocore_session(aws: Aws, main: Main) -> None:
    """Run `main` with the clients of a wrapped session of botocore, without an event loop."""
    session: Any = asyncdsm.wrap(botocore.session.get_session())
    _drive(main, lambda service: session.create_client(service, **aws.options))


def boto3_clients(aws: Aws, main: Main) -> None:
    """Run `main` with clients of boto3, each of which is wrapped, without an event loop."""
    _drive(main, partial(wrapped_client, aws))


CLIENTS: list[Drive] = [aiobotocore_on_asyncio, aiobotocore_on_trio, botocore_session, boto3_clients]


async def _with_session(aws: Aws, main: Main, config: AioConfig | None) -> None:
    session = asyncdsm.wrap(get_session())
    async with AsyncExitStack() as stack:
        clients = dict[str, Any]()

        async def call(service: str, operation: str, **params: Any) -> Any:
            if service not in clients:
                made = session.create_client(service, config=config, **aws.options)
                clients[service] = await stack.enter_async_context(made)
            return await getattr(clients[service], operation)(**params)

        await main(call)


def _drive(main: Main, make: Callable[[str], Any]) -> None:
    clients = dict[str, Any]()

    async def call(service: str, operation: str, **params: Any) -> Any:
        if service not in clients:
            clients[service] = make(service)
        return getattr(clients[service], operation)(**params)

    async def whole() -> None:
        await main(call)

    try:
        whole().send(None)  # nothing in it waits for an event loop
    except StopIteration:
        return
    raise AssertionError("a synchronous client has waited")


def boto3_client(aws: Aws, service: str) -> Any:
    """Return a client of boto3."""
    session: Any = Session()
    return session.client(service, **aws.options)


def wrapped_client(aws: Aws, service: str) -> Any:
    """Return a client of boto3 that is wrapped."""
    return asyncdsm.wrap(boto3_client(aws, service))


@functools.cache
def shared_session() -> Any:
    """Return one session of boto3: to make a client is quicker in a session that has made one."""
    return Session()


def offline_client(service: str, **options: Any) -> Any:
    """Return a client of boto3 for calls that never reach a server."""
    return shared_session().client(service, **{**KEYS, **options})


def async_session() -> Any:
    """Return a session of aiobotocore."""
    return AioSession()


def send_and_receive(sqs: Any, queue: str) -> Any:
    """Send a message to a queue, and return what is received from it."""
    sqs.send_message(QueueUrl=queue, MessageBody="v")
    answer = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=answer["Messages"][0]["ReceiptHandle"])
    return answer["Messages"]


def directions_of(captured: Captured) -> list[str | None]:
    """Return the directions of the checkpoints, in their order."""
    return [made.tag("direction") for made in captured.checkpoints]
