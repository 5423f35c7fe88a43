"""SQS: what stands on a real queue after a wrapped client's call, what is counted, and what stays the caller's."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from asyncdsm import Pathway
from asyncdsm.core.pathway import HEADER
from asyncdsm.integration.formats.aws import queue_name
from asyncdsm.integration.formats.json_context import KEY
from asyncdsm.testing import Captured
from tests.brokers.aws import Aws
from tests.integrations.botocore.clients import wrapped_client

KIB, MIB = 1 << 10, 1 << 20
WIRE = 28
OURS = len(KEY) + len(json.dumps({HEADER: ""}, separators=(",", ":"))) + WIRE


@pytest.fixture
def sqs(ministack: Aws, captured_streams: Captured) -> Any:
    return wrapped_client(ministack, "sqs")


def attributes(count: int) -> dict[str, Any]:
    return {f"name{number}": {"DataType": "String", "StringValue": "välue"} for number in range(count)}


def context_of(message: dict[str, Any]) -> Pathway | None:
    attribute = message.get("MessageAttributes", {}).get(KEY)
    return None if attribute is None else Pathway.decode_base64(json.loads(attribute["StringValue"])[HEADER])


@pytest.mark.parametrize("count", [0, 1, 9, 10])
@pytest.mark.parametrize("body", ["v", "ünï☃\U0001f600 \t\n", '{"order": 1}', "x" * (256 * KIB - 600)])
def test_attributes_of_the_callers_stay(
    ministack: Aws,
    sqs: Any,
    captured_streams: Captured,
    caplog: pytest.LogCaptureFixture,
    *,
    count: int,
    body: str,
) -> None:
    queue = ministack.queue()
    given = {"QueueUrl": queue, "MessageBody": body, "MessageAttributes": attributes(count)}
    kept = deepcopy(given)
    for _ in range(2):
        sqs.send_message(**given)
    assert given == kept
    messages = ministack.on_queue(queue, 2)
    for message in messages:
        assert message["Body"] == body
        others = {name: value for name, value in message.get("MessageAttributes", {}).items() if name != KEY}
        assert others == attributes(count)
    size = len(body.encode()) + count * (len("name0") + len("välue".encode()))
    made = captured_streams.produced(queue_name(queue))
    if count == 10:
        assert [context_of(message) for message in messages] == [None, None]
        assert captured_streams.stats().not_propagated == 2
        assert sum("carries no context" in record.getMessage() for record in caplog.records) == 1
        assert [each.size for each in made] == [size] * 2
    else:
        assert [context.hash for context in map(context_of, messages) if context] == [each.hash for each in made]
        assert captured_streams.stats().not_propagated == 0
        assert [each.size for each in made] == [size + OURS] * 2


def test_a_batch_of_ten_with_mixed_room(ministack: Aws, sqs: Any, captured_streams: Captured) -> None:
    queue, counts = ministack.queue(), [0, 10, 1, 9, 10, 0, 3, 10, 9, 1]
    given = {count: attributes(count) for count in counts}  # some entries share theirs
    entries = [
        {
            "Id": str(number),
            "MessageBody": f"{number}",
            "MessageAttributes": given[count],
        }
        for number, count in enumerate(counts)
    ]
    kept = deepcopy(entries)
    answer = sqs.send_message_batch(QueueUrl=queue, Entries=tuple(entries))
    assert len(answer["Successful"]) == 10
    assert entries == kept
    messages = {int(message["Body"]): message for message in ministack.on_queue(queue, 10)}
    assert {number for number, message in messages.items() if context_of(message) is None} == {1, 4, 7}
    assert len(captured_streams.produced(queue_name(queue))) == 10
    assert captured_streams.stats().not_propagated == 3


def test_entries_that_failed_are_not_counted(ministack: Aws, sqs: Any, captured_streams: Captured) -> None:
    queue = ministack.queue()
    entries = [
        {"Id": "good", "MessageBody": "x"},
        {"Id": "bad", "MessageBody": "\x01"},
        {"Id": "full", "MessageBody": "\x01", "MessageAttributes": attributes(10)},
    ]
    answer = sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    assert [failed["Id"] for failed in answer["Failed"]] == ["bad", "full"]
    assert [made.size for made in captured_streams.produced()] == [1 + OURS]
    assert captured_streams.stats().not_propagated == 0


def test_a_call_that_failed_is_not_counted(sqs: Any, captured_streams: Captured) -> None:
    with pytest.raises(ClientError):
        sqs.send_message(QueueUrl="http://127.0.0.1/0/none", MessageBody="x", MessageAttributes=attributes(10))
    assert captured_streams.checkpoints == []
    assert captured_streams.stats().not_propagated == 0


@pytest.mark.parametrize(
    ("size", "has_context"),
    [
        (256 * KIB, False),  # would be too large for a queue with the limit that was
        (256 * KIB - OURS, False),
        (256 * KIB - 2 * OURS, True),
        (256 * KIB + 1, True),  # this queue takes 1 MiB, then
        (MIB - OURS, False),
        (MIB, False),
    ],
)
def test_a_context_makes_no_message_too_large(
    moto: Aws, captured_streams: Captured, size: int, has_context: bool
) -> None:
    queue, body = moto.queue(), "x" * size
    wrapped_client(moto, "sqs").send_message(QueueUrl=queue, MessageBody=body)
    (message,) = moto.on_queue(queue)
    assert message["Body"] == body
    assert (context_of(message) is not None) is has_context
    assert captured_streams.stats().not_propagated == (not has_context)


def test_a_context_makes_no_batch_too_large(moto: Aws, captured_streams: Captured) -> None:
    queue = moto.queue()
    entries = [{"Id": str(number), "MessageBody": "x" * (64 * KIB - 40)} for number in range(4)]
    wrapped_client(moto, "sqs").send_message_batch(QueueUrl=queue, Entries=entries)
    with_context = [message for message in moto.on_queue(queue, 4) if context_of(message)]
    assert len(with_context) == 2  # 160 bytes are left, and a context takes 70
    assert captured_streams.stats().not_propagated == 2


def test_a_forwarded_context_is_replaced_and_other_tracers_parts_stay(
    ministack: Aws, sqs: Any, captured_streams: Captured
) -> None:
    queue, stale = ministack.queue(), Pathway(1, 2, 3).encode_base64()
    carrier = {"x-datadog-trace-id": "77", HEADER: stale, "dd-pathway-ctx": stale}
    others = attributes(9)
    for text in (json.dumps(carrier), "no JSON", '"text"'):
        forwarded = {**others, KEY: {"DataType": "String", "StringValue": text}}
        sqs.send_message(QueueUrl=queue, MessageBody="v", MessageAttributes=forwarded)
    messages = ministack.on_queue(queue, 3)
    carriers = [json.loads(message["MessageAttributes"][KEY]["StringValue"]) for message in messages]
    assert sorted(map(sorted, carriers)) == [[HEADER], [HEADER], [HEADER, "x-datadog-trace-id"]]
    (hash_,) = {made.hash for made in captured_streams.produced()}
    assert {context.hash for context in map(context_of, messages) if context} == {hash_}
    assert {made.size for made in captured_streams.produced()} == {
        1 + 9 * 11 + OURS,
        1 + 9 * 11 + OURS + len('"x-datadog-trace-id":"77",'),
    }


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (None, [KEY]),
        ([], [KEY]),
        (["a"], ["a", KEY]),
        ([KEY], [KEY]),
        (["All"], ["All"]),
        ([".*"], [".*"]),
        (["_data.*"], ["_data.*"]),
        (["other.*"], ["other.*", KEY]),
        ([str(number) for number in range(10)], [str(number) for number in range(10)]),
    ],
)
def test_the_context_is_asked_for(ministack: Aws, sqs: Any, names: list[str] | None, asked: list[str]) -> None:
    queue, seen = ministack.queue(), list[Any]()
    event = "before-parameter-build.sqs.ReceiveMessage"
    sqs.meta.events.register_last(event, lambda params, **_: seen.append(params["MessageAttributeNames"]))
    given = {"QueueUrl": queue} if names is None else {"QueueUrl": queue, "MessageAttributeNames": names}
    kept = deepcopy(given)
    sqs.receive_message(**given)
    assert seen == [asked]
    assert given == kept


def test_what_botocore_refuses_it_refuses_as_before(sqs: Any, moto: Aws) -> None:
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


def test_a_signed_url_is_for_nobody(sqs: Any, captured_streams: Captured) -> None:
    params = {"QueueUrl": "http://127.0.0.1/0/queue", "MessageBody": "x"}
    assert KEY not in sqs.generate_presigned_url("send_message", Params=params)
    assert captured_streams.checkpoints == []
