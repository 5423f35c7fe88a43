"""What `wrap`, `instrument` and `uninstrument` put on clients, sessions and resources, and take off again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from unittest.mock import AsyncMock, MagicMock, create_autospec, patch

import boto3.resources.base
import boto3.session
import botocore.session
import pytest
from aiobotocore.client import AioBaseClient
from aiobotocore.session import AioSession, get_session
from boto3.session import Session
from botocore.client import BaseClient

import asyncdsm
from asyncdsm import UnknownClientError
from asyncdsm.testing import Captured
from tests.brokers.aws import Aws
from tests.integrations.botocore.clients import (
    QUEUE,
    async_session,
    boto3_client,
    directions_of,
    offline_client,
    send_and_receive,
)


def test_wrap_takes_clients_sessions_and_resources(ministack: Aws, captured_streams: Captured) -> None:
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
        send_and_receive(sqs, queue)
        assert directions_of(captured_streams) == ["out", "in"]
    with pytest.raises(UnknownClientError):
        asyncdsm.wrap(object())


def test_instrument_follows_clients_made_later_in_any_session(ministack: Aws, captured_streams: Captured) -> None:
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
            send_and_receive(sqs, queue)
            assert directions_of(captured_streams) == expected
    finally:
        asyncdsm.uninstrument("botocore")
    assert BaseClient.__init__ is original
    for sqs, expected in ((later, []), (wrapped, ["out", "in"]), (session.client("sqs", **ministack.options), [])):
        captured_streams.clear()
        send_and_receive(sqs, queue)
        assert directions_of(captured_streams) == expected


async def test_instrument_follows_aiobotocore(ministack: Aws, captured_streams: Captured) -> None:
    queue = ministack.queue()
    asyncdsm.instrument("botocore")
    try:
        async with async_session().create_client("sqs", **ministack.options) as sqs:
            await sqs.send_message(QueueUrl=queue, MessageBody="v")
            await sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)
    finally:
        asyncdsm.uninstrument("botocore")
    assert directions_of(captured_streams) == ["out", "in"]


def test_clients_of_other_services_get_no_handlers(ministack: Aws) -> None:
    for service in ("s3", "dynamodb"):
        client = asyncdsm.wrap(boto3_client(ministack, service))
        registered = client.meta.events._emitter._unique_id_handlers
        assert not [name for name in registered if str(name).startswith("asyncdsm")]


def mocks_of_clients() -> Iterator[Any]:
    real = offline_client("sqs")
    resource: Any = boto3.session.Session().resource("sqs", region_name="us-east-1")
    for spec in (
        BaseClient,
        AioBaseClient,
        botocore.session.Session,
        AioSession,
        boto3.session.Session,
        boto3.resources.base.ServiceResource,
        real,
        type(real),
        resource,
    ):
        yield from (MagicMock(spec=spec), AsyncMock(spec=spec), MagicMock(spec_set=spec))
        yield create_autospec(spec, instance=isinstance(spec, type))


def test_mocks_of_clients_sessions_and_resources_pass_untouched(captured_streams: Captured) -> None:
    for mock in mocks_of_clients():
        assert asyncdsm.wrap(mock) is mock
        assert mock.mock_calls == []
    assert captured_streams.stats().errors == 0


def test_mock_without_spec_is_unknown(captured_streams: Captured) -> None:
    with pytest.raises(asyncdsm.UnknownClientError):
        asyncdsm.wrap(MagicMock())


async def test_patch_of_a_class_after_wrap_is_called(captured_streams: Captured) -> None:
    """On a client of aiobotocore, whose methods are hooked."""
    async with get_session().create_client(
        "sqs",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",  # noqa: S106
    ) as sqs:
        asyncdsm.wrap(sqs)
        client: Any = sqs
        for owner in (type(sqs), sqs):
            with patch.object(owner, "receive_message", AsyncMock(return_value={"Messages": ["mine"]})):
                assert await client.receive_message(QueueUrl=QUEUE) == {"Messages": ["mine"]}
        with patch.object(type(sqs), "_make_api_call", AsyncMock(return_value={"Messages": []})):
            assert await client.receive_message(QueueUrl=QUEUE) == {"Messages": []}


def test_uninstrument_below_a_foreign_wrapper_stops_counting(captured_streams: Captured) -> None:
    bare = BaseClient.__init__
    asyncdsm.instrument("botocore")
    before = BaseClient.__init__

    def theirs(self: Any, *args: Any, **kwargs: Any) -> None:
        before(self, *args, **kwargs)

    try:
        BaseClient.__init__ = theirs
        made_before = bare_client_with_empty_responses("sqs")
        made_before.send_message(QueueUrl=QUEUE, MessageBody="v")
        assert len(captured_streams.produced()) == 1
        asyncdsm.uninstrument("botocore")
        for client in (made_before, bare_client_with_empty_responses("sqs")):
            client.send_message(QueueUrl=QUEUE, MessageBody="v")
        assert len(captured_streams.produced()) == 1
        asyncdsm.instrument("botocore")
        bare_client_with_empty_responses("sqs").send_message(QueueUrl=QUEUE, MessageBody="v")
        assert len(captured_streams.produced()) == 2
    finally:
        asyncdsm.uninstrument("botocore")
        BaseClient.__init__ = bare


def bare_client_with_empty_responses(service: str) -> Any:
    client = offline_client(service)
    client.meta.events.register_first("before-call", lambda **_: (MagicMock(status_code=200), {}))
    return client


def test_instrument_follows_resources_of_boto3_imported_later() -> None:
    """boto3 is slow to import, and a program may import it later."""
    program = (
        "import sys, asyncdsm; asyncdsm.instrument('botocore'); assert 'boto3' not in sys.modules; import boto3;"
        "queue = boto3.resource('sqs', region_name='us-east-1').Queue('http://127.0.0.1/0/q');"
        "assert hasattr(queue.receive_messages, '__asyncdsm_original__')"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
