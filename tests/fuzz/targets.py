"""The decoders, by name: each takes any bytes. What one raises is a finding."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import msgspec
from aio_pika import IncomingMessage
from aiokafka import ConsumerRecord
from aiormq.abc import DeliveredMessage
from asyncdsm_aio_pika.consume import record_delivery
from asyncdsm_aiokafka.client import Client
from asyncdsm_asgi import requests
from asyncdsm_botocore.consume import find_message_pathway
from asyncdsm_faststream.consume import read_message
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from asyncdsm import Pathway, SettingError, Settings, consume_lambda_event
from asyncdsm._internal.urls import without_password
from asyncdsm.agent.intake.errors import IntakeError
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.core.context import HEADER, LEGACY_HEADER
from asyncdsm.core.edge import Edge
from asyncdsm.delivery.exporters.agent import AgentExporter
from asyncdsm.delivery.exporters.container import container_id
from asyncdsm.delivery.exporters.http import parse_retry_after
from asyncdsm.delivery.sketch import Sketch
from asyncdsm.errors import SketchError
from asyncdsm.integration.formats import aws, json_context
from asyncdsm.integration.formats.aws import MessageInfo
from asyncdsm.integration.formats.kafka_records import consume_record
from asyncdsm.testing import capture
from tests import by_hand

Target = Callable[[bytes], None]

_WIRE = Pathway(7, 1_700_000_000_000_000_000, 1_700_000_001_000_000_000).wire()


def pathway(data: bytes) -> None:
    """A context, as bytes and as text: what is read is written alike."""
    for decoded in (Pathway.decode(data), Pathway.decode_base64(data)):
        if decoded is not None:
            assert 0 <= decoded.hash < 1 << 64
            assert Pathway.decode(decoded.encode()) == decoded
            assert Pathway.decode_base64(decoded.encode_base64()) == decoded
    Pathway.decode_base64(data.decode("latin-1"))


def kafka(data: bytes) -> None:
    """A record's headers, its time and its value."""
    when, names, values = _cut(data, 8, 2)
    headers = tuple(
        (name, values[at : at + 40] if kind & 1 else None)
        for at, (name, kind) in enumerate(zip([HEADER, LEGACY_HEADER, "a"] * 2, names, strict=False))
    )
    stamp = int.from_bytes(when, "little", signed=True)
    record = ConsumerRecord("t", 0, 1, stamp, 0, None, cast("Any", values), None, -1, len(values), cast("Any", headers))
    with capture() as captured:
        result = consume_record(Client(), record)
        assert result is not None
        _is_whole(result)
        assert len(captured.checkpoints) == 1
    found = read_message(record, None)
    assert found is not None
    _is_arrival(MessageInfo(found.header, found.size, found.broker_ns))


def amqp(data: bytes) -> None:
    """A headers table. Made of MessagePack: pamqp's own decoder takes a time that doubles with each table inside."""
    table = _object(data)
    if isinstance(table, dict):
        headers = _named(table)
        header = ContentHeader(0, len(data), Basic.Properties())
        message = IncomingMessage(DeliveredMessage(Basic.Deliver("c", 1, False, "", "q"), header, data, cast("Any", 0)))
        message.headers = headers
        with capture() as captured:
            record_delivery(SimpleNamespace(name="q"), message)
            assert len(captured.checkpoints) == 1
        assert message.headers == headers or "nan" in repr(headers)


def sqs(data: bytes) -> None:
    """A message of SQS: attributes, body, and what SQS says itself."""
    _is_arrival(aws.read_sqs_message(None, data.decode("utf-8", "surrogateescape")))
    made = _json(data)
    if isinstance(made, dict):
        _is_arrival(aws.read_sqs_message(made.get("a"), made.get("b"), made.get("s")))
        find_message_pathway({"MessageId": 1, "ReceiptHandle": 1, "Body": 1, **made})


def sns(data: bytes) -> None:
    """A notification of SNS, an event of EventBridge."""
    made = _json(data)
    if isinstance(made, dict):
        _is_arrival(aws.read_sns_notification(made))
        _is_arrival(aws.read_eventbridge_event(made))


def kinesis(data: bytes) -> None:
    """The data of a record: where a context is put into it, it is found again, and all else is what it was."""
    _is_arrival(aws.read_kinesis_record(data, "key", None))
    slot = json_context.make_object_slot(data)
    if slot is not None:
        filled = slot.fill(_WIRE)
        assert len(filled) == slot.size + json_context.WIRE_BYTES
        assert aws.find_in_data(filled) == _WIRE.decode()
        before, after = (_members(json_context.find_object_text(text)) for text in (data, filled))
        assert {**before, json_context.KEY: b""} == {**after, json_context.KEY: b""}


def http(data: bytes) -> None:
    """A request: the first byte says who sends it."""
    kind, lines, body = _cut(data, 1, 40)
    header: Mapping[bytes, bytes] = {
        0: {b"x-amz-sns-message-type": b"Notification", b"x-amz-sns-topic-arn": lines},
        1: {b"user-agent": b"APIs-Google"},
        2: {b"user-agent": b"Amazon/EventBridge/ApiDestinations"},
        3: {b"content-type": b"application/cloudevents+json"},
        4: {b"content-type": b"application/cloudevents-batch+json"},
        5: {b"ce-specversion": b"1.0", b"ce-type": lines, b"ce-time": body},
        6: {b"x-goog-pubsub-subscription-name": lines, HEADER.encode(): body},
        7: {HEADER.encode(): lines + body, b"content-length": lines},
    }[kind[0] % 8 if kind else 0]
    size = requests.read_content_length(header)
    assert size is None or size >= 0
    for one in requests.read_messages(header, body):
        _is_arrival(MessageInfo(one.header, None, one.broker_ns))
        with capture():
            assert by_hand.consume(one.edge, one.header, size, one.broker_ns) is not None


def lambda_event(data: bytes) -> None:
    """What a function of Lambda is called with, as Python's own JSON reads it."""
    event = _json(data)
    with capture():
        messages = consume_lambda_event(event)
    records = event.get("Records") if isinstance(event, dict) else None
    assert list(messages) == (records if isinstance(records, list) else [event]) or "nan" in repr(event)


def intake(data: bytes) -> None:
    """A body for the agent, packed or not."""
    for encoding in ("", "gzip"):
        try:
            report = read_report(data, encoding)
        except IntakeError as error:
            assert error.path
            assert 400 <= error.status < 500
        else:
            assert len(report.histograms.keys) == len(report.histograms.counts)
            assert all(0 < count < float("inf") for count in report.histograms.counts)


def sketch(data: bytes) -> None:
    """A DDSketch: one that is read can be written, and says the same then."""
    try:
        decoded = Sketch.decode(data)
    except SketchError as error:
        assert str(error)
    else:
        _is_sketch(decoded)


def settings(data: bytes) -> None:
    """The environment: a clear error, or settings of which requests can be made, and which show no password."""
    environ = dict(line.split("=", 1) for line in data.decode("utf-8", "surrogateescape").split("\n") if "=" in line)
    try:
        made = Settings.from_environ(environ, hostname=lambda: "here", socket_exists=lambda _: False)
    except SettingError as error:
        assert "must be" in str(error)
        return
    if made.agent_url.startswith("https"):  # certificates take 20 ms to load
        made = made._replace(agent_url="http" + made.agent_url[5:])
    AgentExporter(made)._client.build_request("POST", "/", content=b"")
    repr(made).encode()
    for text in (made.service, made.env, made.version, made.hostname):
        (text or "").encode()


def answer(data: bytes) -> None:
    """What an agent answers, and what the kernel says of a container."""
    text = data.decode("latin-1")
    seconds = parse_retry_after(text)
    assert seconds is None or 0 <= seconds <= 300
    found = container_id(text.splitlines())
    assert found is None or found.isascii()


def url(data: bytes) -> None:
    """A URL with a password, as it is shown."""
    text = data.decode("utf-8", "surrogateescape")
    assert "hush" not in str(without_password(f"http://me:{text}hush{text}@agent"))


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (pathway, kafka, amqp, sqs, sns, kinesis, http, lambda_event, intake, sketch, settings, answer, url)
}


def _cut(data: bytes, first: int, second: int) -> tuple[bytes, bytes, bytes]:
    return data[:first], data[first : first + second], data[first + second :]


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _object(data: bytes) -> Any:
    try:
        return msgspec.msgpack.decode(data)
    except (ValueError, TypeError, RecursionError, msgspec.MsgspecError):
        return None


def _named(value: Any) -> Any:
    """Return a table whose names are texts, at every depth, as AMQP has them."""
    if isinstance(value, dict):
        return {str(name): _named(inner) for name, inner in value.items()}
    return [_named(inner) for inner in value] if isinstance(value, list) else value


def _members(text: bytes | None) -> dict[str, bytes]:
    """Return what stands in a JSON object, each value as it is written."""
    assert text is not None
    return {name: bytes(raw) for name, raw in msgspec.json.decode(text, type=dict[str, msgspec.Raw]).items()}


def _is_arrival(arrival: MessageInfo) -> None:
    """Check that it says what a checkpoint can be made of, and make one."""
    assert arrival.header is None or isinstance(arrival.header, str | bytes)
    assert arrival.size is None or arrival.size >= 0
    assert arrival.broker_ns is None or isinstance(arrival.broker_ns, int)
    with capture():
        result = by_hand.consume(Edge("type:x"), *arrival)
        assert result is not None
        _is_whole(result)


def _is_whole(result: Pathway) -> None:
    decoded = Pathway.decode(result.encode())
    assert decoded is not None
    assert decoded.hash == result.hash
    assert decoded.pathway_start_ns == result.pathway_start_ns // 1_000_000 * 1_000_000


def _is_sketch(decoded: Sketch) -> None:
    again = Sketch.decode(decoded.encode())
    assert abs(again.count - decoded.count) <= 1e-9 * decoded.count
    for fraction in (0.0, 0.5, 1.0):
        value = decoded.quantile(fraction)
        assert value is None or 0 <= value < float("inf")
