"""The clients of AWS, each driven alike: a test is one async function, whoever makes its calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import anyio
import botocore.session
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from boto3.session import Session

import asyncdsm
from tests.brokers.aws import Aws

Call = Callable[..., Awaitable[dict[str, Any]]]
"""`await call("sqs", "send_message", QueueUrl=…)`."""
Main = Callable[[Call], Awaitable[None]]
Drive = Callable[[Aws, Main], None]


def aiobotocore_on_asyncio(aws: Aws, main: Main) -> None:
    """A session that is wrapped, and the clients made in it."""
    anyio.run(_with_session, aws, main, None, backend="asyncio")


def aiobotocore_on_trio(aws: Aws, main: Main) -> None:
    """The same on trio, where aiobotocore has its httpx backend."""
    from aiobotocore.httpxsession import HttpxSession  # not in old versions

    anyio.run(_with_session, aws, main, AioConfig(http_session_cls=HttpxSession), backend="trio")


def botocore_session(aws: Aws, main: Main) -> None:
    """A session that is wrapped, in a program without an event loop."""
    session: Any = asyncdsm.wrap(botocore.session.get_session())
    _drive(main, lambda service: session.create_client(service, **aws.options))


def boto3_clients(aws: Aws, main: Main) -> None:
    """Clients that are wrapped one by one."""
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


def wrapped_client(aws: Aws, service: str) -> Any:
    """Return a client of boto3 that is wrapped."""
    session: Any = Session()
    return asyncdsm.wrap(session.client(service, **aws.options))
