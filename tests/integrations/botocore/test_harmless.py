"""A program that uses botocore works as without asyncdsm, whatever happens to a call or inside asyncdsm."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any
from unittest.mock import MagicMock, patch
from uuid import uuid4

import anyio
import pytest
from asyncdsm_botocore import client as botocore_client
from asyncdsm_botocore import integration, receive_calls, resources
from botocore.config import Config
from botocore.exceptions import ParamValidationError
from botocore.stub import ANY, Stubber

import asyncdsm
from asyncdsm.core.checkpoint import set_recorder
from asyncdsm.core.lag import current_lags
from asyncdsm.integration import Hook, Hooks, after
from asyncdsm.integration.formats.json_context import KEY
from asyncdsm.testing import Captured, capture
from tests.brokers.aws import Aws
from tests.integrations.botocore.clients import (
    KEYS,
    NUMBER_AND_BINARY,
    QUEUE,
    async_session,
    boto3_client,
    offline_client,
    send_and_receive,
    shared_session,
    wrapped_client,
)


def raise_planted(*_: Any, **__: Any) -> None:
    raise RuntimeError("planted")


def test_error_in_a_checkpoint_is_counted_and_does_not_reach_the_program(
    ministack: Aws, moto: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, (stream, _) = ministack.queue(), ministack.stream()
    with capture() as captured:
        captured.strict = False
        sqs, kinesis, sns, events = (
            asyncdsm.wrap(boto3_client(ministack, service)) for service in ("sqs", "kinesis", "sns", "events")
        )
        monkeypatch.setattr(captured, "now", raise_planted)
        set_recorder(captured)  # it takes the clock, which every checkpoint asks for the time
        (message,) = send_and_receive(sqs, queue)
        assert (message["Body"], type(message)) == ("v", dict)
        sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": "1", "MessageBody": "v"}])
        sns.publish(TopicArn=ministack.topic(), Message="m")
        events.put_events(Entries=[{"Source": "s", "DetailType": "t", "Detail": "{}"}])
        put = kinesis.put_record(StreamName=stream, Data=b"{}", PartitionKey="p")
        kinesis.put_records(StreamName=stream, Records=[{"Data": b"{}", "PartitionKey": "p"}])
        place = {"StreamName": stream, "ShardId": put["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        answer = kinesis.get_records(ShardIterator=kinesis.get_shard_iterator(**place)["ShardIterator"])
        assert [record["Data"] for record in answer["Records"]] == [b"{}"] * 2
        assert captured.stats().errors == 8
        assert asyncdsm.current_pathway() is None


def test_wrapped_client_works_as_bare_while_nothing_measures(ministack: Aws) -> None:
    queue = ministack.queue()
    (message,) = send_and_receive(asyncdsm.wrap(boto3_client(ministack, "sqs")), queue)
    assert type(message) is dict
    assert "MessageAttributes" not in message


def test_invalid_parameters_are_refused_by_botocore(sqs: Any, moto: Aws) -> None:
    wrong: list[tuple[Any, str, dict[str, Any]]] = [
        (sqs, "send_message", {}),
        (sqs, "send_message", {"QueueUrl": 1, "MessageBody": "x"}),
        (sqs, "send_message", {"QueueUrl": "q", "MessageBody": None}),
        (sqs, "send_message", {"QueueUrl": "q", "MessageBody": "x", "MessageAttributes": "x"}),
        (sqs, "send_message", {"QueueUrl": "q", "MessageBody": "x", "MessageAttributes": {"a": 1}}),
        (sqs, "send_message_batch", {"QueueUrl": "q", "Entries": None}),
        (sqs, "send_message_batch", {"QueueUrl": "q", "Entries": [None, 1, {"MessageAttributes": 3}]}),
        (sqs, "receive_message", {"QueueUrl": "q", "MessageAttributeNames": "All"}),
        (wrapped_client(moto, "sns"), "publish_batch", {"TopicArn": "t", "PublishBatchRequestEntries": [3]}),
        (wrapped_client(moto, "kinesis"), "put_record", {"StreamName": "s", "Data": 3}),
        (wrapped_client(moto, "kinesis"), "put_records", {"StreamName": "s", "Records": [3, {"Data": None}]}),
        (wrapped_client(moto, "events"), "put_events", {"Entries": [3, {"Detail": 3}]}),
    ]
    for each, operation, params in wrong:
        with pytest.raises(ParamValidationError):
            getattr(each, operation)(**params)


def stubbed_client(service: str, operation: str, *answers: dict[str, Any]) -> Any:
    """Return a wrapped client whose stub returns these responses, the very objects."""
    client = asyncdsm.wrap(offline_client(service))
    stubber = Stubber(client)
    for answer in answers:
        stubber.add_response(operation, answer)
    stubber.activate()
    return client


@pytest.mark.parametrize("count", [0, 1, 3])
def test_stubbed_response_stays_unchanged_when_returned_twice(captured_streams: Captured, count: int) -> None:
    messages = [receipt(number) for number in range(count)]
    answer = {"Messages": messages}
    kept = copy.deepcopy(answer)
    sqs = stubbed_client("sqs", "receive_message", answer, answer)
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


def test_stub_sees_the_parameters_of_the_program(captured_streams: Captured) -> None:
    sqs = asyncdsm.wrap(offline_client("sqs"))
    with Stubber(sqs) as stubber:
        stubber.add_response("receive_message", {}, {"QueueUrl": QUEUE})
        stubber.add_response("send_message", {"MessageId": "1"}, {"QueueUrl": QUEUE, "MessageBody": ANY})
        sqs.receive_message(QueueUrl=QUEUE)
        sqs.send_message(QueueUrl=QUEUE, MessageBody="v")
    assert len(captured_streams.produced()) == 1


def test_handlers_of_the_program_see_its_own_parameters(captured_streams: Captured) -> None:
    """A handler registered with `register`, as botocore documents it. One of `register_last` comes after asyncdsm's."""
    sqs, seen = offline_client("sqs"), list[Any]()
    sqs.meta.events.register("before-parameter-build.sqs.SendMessage", lambda params, **_: seen.append(dict(params)))
    asyncdsm.wrap(sqs)
    with Stubber(sqs) as stubber:
        stubber.add_response("send_message", {"MessageId": "1"})
        sqs.send_message(QueueUrl=QUEUE, MessageBody="v")
    assert seen == [{"QueueUrl": QUEUE, "MessageBody": "v"}]


def receipt(number: int) -> dict[str, Any]:
    return {
        "MessageId": str(number),
        "ReceiptHandle": f"h{number}",
        "Body": "b",
        "MessageAttributes": {KEY: {"DataType": "String", "StringValue": "{}"}},
    }


ODD: list[Any] = [None, 3, -1, 1.5, float("nan"), 1 << 80, True, "text", b"x", [], ["a"], {}, {"a": 1}, object()]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
def test_odd_values_of_messages_are_counted_and_never_raise(captured_streams: Captured, odd: Any) -> None:
    """From a response that is not validated, as a proxy, an emulator or a mock may send it."""
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
        client_with_response("sqs", answer).receive_message(QueueUrl=QUEUE)
    assert len(captured_streams.consumed()) == len(messages) + (len(odd) if isinstance(odd, list) else 0)
    check_odd_kinesis_values(odd, captured_streams)
    assert captured_streams.stats().malformed >= 1
    assert captured_streams.stats().errors == 0


def check_odd_kinesis_values(odd: Any, captured: Captured) -> None:
    captured.clear()
    stream = f"stream-{uuid4()}"
    record = {"SequenceNumber": "1", "PartitionKey": "p", "Data": b"{}", "ApproximateArrivalTimestamp": datetime.now()}
    names = ("SequenceNumber", "PartitionKey", "Data", "ApproximateArrivalTimestamp")
    records = [record, odd, *({**record, name: odd} for name in names)]
    client = client_with_response("kinesis", {"ShardIterator": "i"})
    client.get_shard_iterator(StreamName=stream, ShardId="shardId-1", ShardIteratorType="LATEST")
    answers: list[Any] = [
        {"Records": records, "NextShardIterator": "i", "MillisBehindLatest": odd},
        {"Records": odd, "NextShardIterator": odd, "MillisBehindLatest": odd},
        {"ShardIterator": odd},
    ]
    clients = [client_with_response("kinesis", answer) for answer in answers]
    for each in clients:
        each.get_records(ShardIterator="i")
    assert len(captured.consumed()) == len(records) + (len(odd) if isinstance(odd, list) else 0)
    behind = [lag.behind for lag in current_lags() if lag.topic == stream]
    assert behind == ([odd] if type(odd) is int and 0 <= odd < 1 << 63 else [])


def client_with_response(service: str, answer: Any) -> Any:
    """Return a wrapped client that gets this response to every call, whatever it is."""
    client = offline_client(service)
    response = MagicMock(status_code=200)
    client.meta.events.register_first("before-call", lambda **_: (response, answer))
    return asyncdsm.wrap(client)


CALLS: list[tuple[str, str, dict[str, Any], str, dict[str, Any]]] = [
    (
        "sqs",
        "send_message",
        {"QueueUrl": QUEUE, "MessageBody": "v", "MessageAttributes": NUMBER_AND_BINARY},
        "DelaySeconds",
        {},
    ),
    (
        "sqs",
        "send_message_batch",
        {"QueueUrl": QUEUE, "Entries": [{"Id": "1", "MessageBody": "v", "MessageAttributes": NUMBER_AND_BINARY}]},
        "x",
        {"Successful": [], "Failed": []},
    ),
    ("sqs", "receive_message", {"QueueUrl": QUEUE, "MessageAttributeNames": ["a"]}, "WaitTimeSeconds", {}),
    ("sns", "publish", {"TopicArn": "arn:t", "Message": "v", "MessageAttributes": NUMBER_AND_BINARY}, "Subject", {}),
    (
        "sns",
        "publish_batch",
        {
            "TopicArn": "arn:t",
            "PublishBatchRequestEntries": [{"Id": "1", "Message": "v", "MessageAttributes": NUMBER_AND_BINARY}],
        },
        "x",
        {},
    ),
    ("kinesis", "put_record", {"StreamName": "s", "Data": bytearray(b"{}"), "PartitionKey": "p"}, "x", {}),
    ("kinesis", "put_records", {"StreamName": "s", "Records": [{"Data": b"{}", "PartitionKey": "p"}]}, "x", {}),
    ("events", "put_events", {"Entries": [{"Source": "s", "DetailType": "t", "Detail": "{}"}]}, "x", {}),
]


@pytest.mark.parametrize(("service", "method", "params", "wrong", "answer"), CALLS, ids=[each[1] for each in CALLS])
def test_callers_objects_stay_unchanged_whether_the_call_succeeds_or_fails(
    captured_streams: Captured, *, service: str, method: str, params: dict[str, Any], wrong: str, answer: dict[str, Any]
) -> None:
    params = copy.deepcopy(params)
    kept, ids = copy.deepcopy(params), nested_ids(params)
    client = client_with_response(service, answer)
    getattr(client, method)(**params)
    with pytest.raises(ParamValidationError):  # after our handlers
        getattr(client, method)(**params, **{wrong: object()})
    failing = asyncdsm.wrap(offline_client(service, endpoint_url="http://127.0.0.1:1", config=NO_RETRIES))
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


def test_handlers_accept_arguments_of_a_later_release(captured_streams: Captured) -> None:
    for event, handler in botocore_client._make_handlers(None):
        handler(
            params={}, parsed={}, http_response=MagicMock(status_code=200), context={}, class_attributes={},
            base_classes=[], event_name=event, model=None, later=1,
        )  # fmt: skip
    assert captured_streams.stats().errors == 0


# By the names of the methods that they are put on.
HOOKS: dict[str, Hook] = {
    "__init__": after(integration._follow_new_client),
    "get_records": receive_calls._clear_before_call(lambda: True),
    "load_from_definition": resources._follow_made_class,
    "receive_message": receive_calls._clear_before_call(lambda: True),
    "receive_messages": resources._hook_receive_messages,
}


@pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS)
def test_arguments_that_a_hook_does_not_know_reach_the_client(hook: Hook) -> None:
    calls = list[Any]()

    def original(*args: Any, **kwargs: Any) -> Any:
        calls.append((args, kwargs))
        return calls

    with capture() as captured:
        captured.strict = False  # the hooks are called without a client
        assert hook(original)("client", 1, 2, later=3) is calls
    assert calls == [(("client", 1, 2), {"later": 3})]


async def wrap_async_clients() -> None:
    for service in ("sqs", "kinesis"):
        async with async_session().create_client(service, **KEYS) as client:
            asyncdsm.wrap(client)


def test_every_hook_is_among_those_tested_with_unknown_arguments() -> None:
    names = {resources._METHOD}
    with patch.object(Hooks, "put", lambda _self, _owner, name, _hook: names.add(name)):
        asyncdsm.instrument("botocore")
        anyio.run(wrap_async_clients)
        asyncdsm.wrap(shared_session().resource("sqs", **KEYS))
        asyncdsm.uninstrument("botocore")
    assert names == HOOKS.keys()
