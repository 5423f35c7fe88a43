"""What a program that uses botocore holds is what it would hold without asyncdsm."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import marshal
import pickle
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from unittest.mock import AsyncMock, MagicMock, create_autospec, patch
from uuid import uuid4

import boto3.resources.base
import boto3.session
import botocore.session
import pytest
from aiobotocore.client import AioBaseClient
from aiobotocore.session import AioSession, get_session
from asyncdsm_botocore import client as botocore_client
from asyncdsm_botocore.attributes import hide_context
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ParamValidationError
from botocore.stub import ANY, Stubber

import asyncdsm
from asyncdsm.core.lag import current_lags
from asyncdsm.core.pathway import HEADER
from asyncdsm.integration.formats.json_context import KEY
from asyncdsm.testing import Captured
from tests.brokers.aws import Aws
from tests.integrations.botocore.clients import wrapped_client

yaml: Any = pytest.importorskip("yaml")

QUEUE = "http://127.0.0.1/0/orders"
NUMBER = {"a": {"DataType": "Number", "StringValue": "1"}, "b": {"DataType": "Binary", "BinaryValue": b"\x00"}}


@functools.cache
def session_of_all() -> Any:
    return boto3.session.Session()


def client_of(service: str, **options: Any) -> Any:
    session = session_of_all()
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    return session.client(service, **{**keys, **options})


def stubbed(service: str, operation: str, *answers: dict[str, Any]) -> Any:
    """Return a wrapped client whose stub gives these answers, each the object that it is."""
    client = asyncdsm.wrap(client_of(service))
    stubber = Stubber(client)
    for answer in answers:
        stubber.add_response(operation, answer)
    stubber.activate()
    return client


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("names", [None, ["a"], ["a", "b"], ["All"]])
def test_messages_are_as_without_us(
    ministack: Aws, captured_streams: Captured, names: list[str] | None, count: int
) -> None:
    """Queue for queue: what a followed client receives, and what a bare one does."""
    asked: dict[str, Any] = {"MaxNumberOfMessages": 10, "WaitTimeSeconds": 2}
    if names is not None:
        asked["MessageAttributeNames"] = names
    followed, found = wrapped_client(ministack, "sqs"), list[Any]()
    for client in (ministack.bare("sqs"), followed):
        queue = ministack.queue()
        for number in range(count):
            followed.send_message(QueueUrl=queue, MessageBody=str(number), MessageAttributes=NUMBER)
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


def test_message_that_sns_delivered_raw_is_still_json(ministack: Aws, captured_streams: Captured) -> None:
    """Its context is in bytes, which JSON does not take."""
    queue = ministack.queue()
    wrapped_client(ministack, "sns").publish(TopicArn=ministack.topic(queue, raw=True), Message="v")
    (message,) = wrapped_client(ministack, "sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=2)["Messages"]
    assert json.loads(json.dumps(message)) == message
    sent, received = captured_streams.checkpoints
    assert received.follows(sent)
    with asyncdsm.using({**message}) as pathway:  # a copy
        assert pathway is not None
        assert pathway.hash == received.hash


def test_attribute_that_was_asked_for_stays_for_other_processes(ministack: Aws, captured_streams: Captured) -> None:
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
def test_digest_is_that_of_the_attributes_that_are_left(others: dict[str, Any], content: bytes) -> None:
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
def test_message_without_our_attribute_stays(message: Any) -> None:
    kept = copy.deepcopy(message)
    hide_context(message)
    assert message == kept


def test_attributes_of_odd_shapes_lose_ours_alone() -> None:
    message = {"MessageAttributes": {"a": 1, KEY: 2}, "MD5OfMessageAttributes": "x"}
    hide_context(message)
    assert message == {"MessageAttributes": {"a": 1}, "MD5OfMessageAttributes": "x"}


def receipt(number: int) -> dict[str, Any]:
    return {
        "MessageId": str(number),
        "ReceiptHandle": f"h{number}",
        "Body": "b",
        "MessageAttributes": {KEY: {"DataType": "String", "StringValue": "{}"}},
    }


@pytest.mark.parametrize("count", [0, 1, 3])
def test_stubbed_answer_given_twice_stays_as_the_test_wrote_it(captured_streams: Captured, count: int) -> None:
    messages = [receipt(number) for number in range(count)]
    answer = {"Messages": messages}
    kept = copy.deepcopy(answer)
    sqs = stubbed("sqs", "receive_message", answer, answer)
    for _ in range(2):
        assert sqs.receive_message(QueueUrl=QUEUE) is answer
        assert answer == kept
        assert answer["Messages"] is messages
        assert {type(each) for each in [messages, *messages]} <= {list, dict}
        assert (asyncdsm.current_pathway() is not None) is (count == 1)
        for message in messages:
            with asyncdsm.using(message) as pathway:
                assert pathway is not None
                assert pathway.hash == captured_streams.consumed()[-1].hash
    assert len(captured_streams.consumed()) == 2 * count


def test_stub_sees_the_parameters_that_the_program_gave(captured_streams: Captured) -> None:
    sqs = asyncdsm.wrap(client_of("sqs"))
    with Stubber(sqs) as stubber:
        stubber.add_response("receive_message", {}, {"QueueUrl": QUEUE})
        stubber.add_response("send_message", {"MessageId": "1"}, {"QueueUrl": QUEUE, "MessageBody": ANY})
        sqs.receive_message(QueueUrl=QUEUE)
        sqs.send_message(QueueUrl=QUEUE, MessageBody="v")
    assert len(captured_streams.produced()) == 1


def test_handlers_of_the_program_see_its_parameters(captured_streams: Captured) -> None:
    """Those that it registered as botocore documents; one that is registered to be the last comes after ours."""
    sqs, seen = client_of("sqs"), list[Any]()
    sqs.meta.events.register("before-parameter-build.sqs.SendMessage", lambda params, **_: seen.append(dict(params)))
    asyncdsm.wrap(sqs)
    with Stubber(sqs) as stubber:
        stubber.add_response("send_message", {"MessageId": "1"})
        sqs.send_message(QueueUrl=QUEUE, MessageBody="v")
    assert seen == [{"QueueUrl": QUEUE, "MessageBody": "v"}]


ODD: list[Any] = [None, 3, -1, 1.5, float("nan"), 1 << 80, True, "text", b"x", [], ["a"], {}, {"a": 1}, object()]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
def test_odd_values_of_messages_are_counted_and_never_raise(captured_streams: Captured, odd: Any) -> None:
    """A stub with validation turned off: what a proxy, an emulator or a mock may answer."""
    good = receipt(1)
    messages = [
        good,
        odd,
        {**good, "Body": odd},
        {**good, "MessageAttributes": odd},
        {**good, "MessageAttributes": {KEY: odd}},
        {**good, "Attributes": odd},
        {**good, "Attributes": {"SentTimestamp": odd}},
        {**good, "MessageId": odd, "ReceiptHandle": odd},
    ]
    for answer in ({"Messages": messages}, {"Messages": odd}):
        answering("sqs", answer).receive_message(QueueUrl=QUEUE)
    assert len(captured_streams.consumed()) == len(messages) + (len(odd) if isinstance(odd, list) else 0)
    kinesis_of(odd, captured_streams)
    assert captured_streams.stats().malformed >= 1
    assert captured_streams.stats().errors == 0


def kinesis_of(odd: Any, captured: Captured) -> None:
    captured.clear()
    stream = f"stream-{uuid4()}"
    record = {"SequenceNumber": "1", "PartitionKey": "p", "Data": b"{}", "ApproximateArrivalTimestamp": datetime.now()}
    names = ("SequenceNumber", "PartitionKey", "Data", "ApproximateArrivalTimestamp")
    records = [record, odd, *({**record, name: odd} for name in names)]
    client = answering("kinesis", {"ShardIterator": "i"})
    client.get_shard_iterator(StreamName=stream, ShardId="shardId-1", ShardIteratorType="LATEST")
    answers: list[Any] = [
        {"Records": records, "NextShardIterator": "i", "MillisBehindLatest": odd},
        {"Records": odd, "NextShardIterator": odd, "MillisBehindLatest": odd},
        {"ShardIterator": odd},
    ]
    clients = [answering("kinesis", answer) for answer in answers]
    for each in clients:
        each.get_records(ShardIterator="i")
    assert len(captured.consumed()) == len(records) + (len(odd) if isinstance(odd, list) else 0)
    behind = [lag.behind for lag in current_lags() if lag.topic == stream]
    assert behind == ([odd] if type(odd) is int and 0 <= odd < 1 << 63 else [])


def answering(service: str, answer: Any) -> Any:
    """Return a wrapped client that is given this answer, whatever it is."""
    client = client_of(service)
    response = MagicMock(status_code=200)
    client.meta.events.register_first("before-call", lambda **_: (response, answer))
    return asyncdsm.wrap(client)


CALLS: list[tuple[str, str, dict[str, Any], str, dict[str, Any]]] = [
    ("sqs", "send_message", {"QueueUrl": QUEUE, "MessageBody": "v", "MessageAttributes": NUMBER}, "DelaySeconds", {}),
    (
        "sqs",
        "send_message_batch",
        {"QueueUrl": QUEUE, "Entries": [{"Id": "1", "MessageBody": "v", "MessageAttributes": NUMBER}]},
        "x",
        {"Successful": [], "Failed": []},
    ),
    ("sqs", "receive_message", {"QueueUrl": QUEUE, "MessageAttributeNames": ["a"]}, "WaitTimeSeconds", {}),
    ("sns", "publish", {"TopicArn": "arn:t", "Message": "v", "MessageAttributes": NUMBER}, "Subject", {}),
    (
        "sns",
        "publish_batch",
        {"TopicArn": "arn:t", "PublishBatchRequestEntries": [{"Id": "1", "Message": "v", "MessageAttributes": NUMBER}]},
        "x",
        {},
    ),
    ("kinesis", "put_record", {"StreamName": "s", "Data": bytearray(b"{}"), "PartitionKey": "p"}, "x", {}),
    ("kinesis", "put_records", {"StreamName": "s", "Records": [{"Data": b"{}", "PartitionKey": "p"}]}, "x", {}),
    ("events", "put_events", {"Entries": [{"Source": "s", "DetailType": "t", "Detail": "{}"}]}, "x", {}),
]


@pytest.mark.parametrize(("service", "method", "params", "wrong", "answer"), CALLS, ids=[each[1] for each in CALLS])
def test_objects_of_the_caller_stay_whatever_becomes_of_the_call(
    captured_streams: Captured, *, service: str, method: str, params: dict[str, Any], wrong: str, answer: dict[str, Any]
) -> None:
    params = copy.deepcopy(params)
    kept, ids = copy.deepcopy(params), nested_ids(params)
    client = answering(service, answer)
    getattr(client, method)(**params)
    with pytest.raises(ParamValidationError):  # after our handlers
        getattr(client, method)(**params, **{wrong: object()})
    failing = asyncdsm.wrap(client_of(service, endpoint_url="http://127.0.0.1:1", config=NO_RETRIES))
    with pytest.raises(Exception, match=r"127\.0\.0\.1"):
        getattr(failing, method)(**params)
    assert params == kept
    assert nested_ids(params) == ids
    counted = len(captured_streams.produced())
    assert counted == (0 if method == "receive_message" else 1)


NO_RETRIES = Config(retries={"max_attempts": 0}, connect_timeout=5)


def nested_ids(value: Any) -> list[int]:
    """Return the identities of all containers and data inside a value."""
    if isinstance(value, dict):
        return [id(value), *(each for inner in value.values() for each in nested_ids(inner))]
    if isinstance(value, list):
        return [id(value), *(each for inner in value for each in nested_ids(inner))]
    return [id(value)]


def mocks() -> Iterator[Any]:
    real = client_of("sqs")
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
    for mock in mocks():
        assert asyncdsm.wrap(mock) is mock
        assert mock.mock_calls == []
    assert captured_streams.stats().errors == 0


def test_mock_that_is_no_client_is_not_known(captured_streams: Captured) -> None:
    with pytest.raises(asyncdsm.UnknownClientError):
        asyncdsm.wrap(MagicMock())


def test_handlers_take_what_a_later_release_hands_over(captured_streams: Captured) -> None:
    for event, handler in botocore_client._make_handlers(None):
        handler(
            params={}, parsed={}, http_response=MagicMock(status_code=200), context={}, class_attributes={},
            base_classes=[], event_name=event, model=None, later=1,
        )  # fmt: skip
    assert captured_streams.stats().errors == 0


async def test_patch_of_a_class_after_wrap_is_called(captured_streams: Captured) -> None:
    """On an asyncio client, which has a hook of its own."""
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


def test_nothing_counts_after_uninstrument_below_somebody_elses_wrapper(captured_streams: Captured) -> None:
    bare = BaseClient.__init__
    asyncdsm.instrument("botocore")
    before = BaseClient.__init__

    def theirs(self: Any, *args: Any, **kwargs: Any) -> None:
        before(self, *args, **kwargs)

    try:
        BaseClient.__init__ = theirs
        made_before = answering_bare("sqs")
        made_before.send_message(QueueUrl=QUEUE, MessageBody="v")
        assert len(captured_streams.produced()) == 1
        asyncdsm.uninstrument("botocore")
        for client in (made_before, answering_bare("sqs")):
            client.send_message(QueueUrl=QUEUE, MessageBody="v")
        assert len(captured_streams.produced()) == 1
        asyncdsm.instrument("botocore")
        answering_bare("sqs").send_message(QueueUrl=QUEUE, MessageBody="v")
        assert len(captured_streams.produced()) == 2
    finally:
        asyncdsm.uninstrument("botocore")
        BaseClient.__init__ = bare


def answering_bare(service: str) -> Any:
    client = client_of(service)
    client.meta.events.register_first("before-call", lambda **_: (MagicMock(status_code=200), {}))
    return client


def test_instrument_imports_no_boto3_and_follows_its_resources_all_the_same() -> None:
    """It is slow to import, and a program may import it later."""
    program = (
        "import sys, asyncdsm; asyncdsm.instrument('botocore'); assert 'boto3' not in sys.modules; import boto3;"
        "queue = boto3.resource('sqs', region_name='us-east-1').Queue('http://127.0.0.1/0/q');"
        "assert hasattr(queue.receive_messages, '__asyncdsm_original__')"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_contexts_key_is_the_one_of_the_protocol() -> None:
    assert (KEY, HEADER) == ("_datadog", "dd-pathway-ctx-base64")
