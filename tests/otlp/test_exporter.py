"""The OTLP exporter: what it posts, and what it makes of each answer."""

from __future__ import annotations

import gzip
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from asyncdsm._internal import log
from asyncdsm.core.counters import Counters
from asyncdsm.delivery.otlp.exporter import EndpointCheck, OtlpExporter, encode_body
from asyncdsm.errors import PayloadRefusedError, TemporaryDeliveryError
from asyncdsm.settings import Settings
from tests.brokers.process import free_port
from tests.intake import HANG, Intake, running_intake
from tests.otlp.received import otlp_receiver


@pytest.fixture(autouse=True)
def forget_warnings() -> None:
    log.forget_warnings()


async def export(url: str, payload: bytes = b"payload", counters: Counters | None = None, **more: Any) -> None:
    exporter = OtlpExporter(Settings(otlp_endpoint=f"{url}/v1/metrics", **more), counters)
    try:
        await exporter.export(payload)
    finally:
        await exporter.aclose()


async def test_payload_is_posted_with_the_headers_that_are_set() -> None:
    with otlp_receiver() as receiver:
        await export(receiver.url, otlp_headers=(("api-key", "k 1"),))
    ((method, path, headers, body),) = receiver.requests
    assert (method, path, body) == ("POST", "/v1/metrics", b"payload")
    assert headers["api-key"] == "k 1"
    assert (headers["content-type"], headers["content-encoding"]) == ("application/x-protobuf", "gzip")


async def test_body_without_compression_says_nothing_of_one() -> None:
    with otlp_receiver() as receiver:
        await export(receiver.url, otlp_compression="none")
    assert "content-encoding" not in receiver.requests[0][2]
    assert encode_body([b"a", b"b"], "none") == b"ab"
    assert gzip.decompress(encode_body([b"a", b"b"], "gzip")) == b"ab"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_retryable_status_is_temporary_and_says_when_to_come_back(status: int) -> None:
    busy = Intake(answer=status, headers={"Retry-After": "7"})
    with (
        otlp_receiver(intake=busy) as receiver,
        pytest.raises(TemporaryDeliveryError, match=f"HTTP status {status}") as raised,
    ):
        await export(receiver.url)
    assert raised.value.retry_after == 7


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500, 501])
async def test_other_status_refuses_the_payload(status: int) -> None:
    said = Intake(answer=status, headers={"Content-Type": "text/plain"}, body=b"no such tenant\n")
    with (
        otlp_receiver(intake=said) as receiver,
        pytest.raises(PayloadRefusedError, match=f"^HTTP status {status}: no such tenant$"),
    ):
        await export(receiver.url)


async def test_partial_success_counts_the_points_left_out_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = ExportMetricsServiceResponse()
    answer.partial_success.rejected_data_points = 3
    answer.partial_success.error_message = "too old"
    counters = Counters()
    with otlp_receiver(intake=Intake(answer=200, body=answer.SerializeToString())) as receiver:
        await export(receiver.url, counters=counters)
        await export(receiver.url, counters=counters)
    assert counters.to_stats().rejected_points == 6
    (record,) = [record for record in caplog.records if record.name == "asyncdsm"]  # the receiver logs, too
    assert "3 data points that the OTLP endpoint left out" in record.getMessage()
    assert record.getMessage().endswith(": too old")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"Please log in"),
        ("", b"<html>"),
        ("application/json", b" <!doctype html>"),
        ("text/plain", b"hi"),
    ],
)
async def test_answer_of_something_else_is_no_delivery(kind: str, body: bytes) -> None:
    page = Intake(answer=200, headers={"Content-Type": kind} if kind else {}, body=body)
    with (
        otlp_receiver(intake=page) as receiver,
        pytest.raises(TemporaryDeliveryError, match=rf"^HTTP status 200 with a body of {kind or 'no type'}, which is"),
    ):
        await export(receiver.url)


@pytest.mark.parametrize("status", [200, 202, 204])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (None, b""),
        ("application/x-protobuf", b""),
        ("text/plain; charset=utf-8", b""),
        ("text/plain; charset=utf-8", b"\x0a\x05\x12\x03odd"),  # as a server guesses that is not told the type
        ("application/protobuf", b"\x0a\x00"),
        ("application/json", b"{}"),
        ("Application/JSON; charset=utf-8", b'{"partialSuccess": {}, "more": 1}'),
        (None, b'{"partialSuccess":{}}'),
    ],
)
async def test_answers_that_receivers_send_are_deliveries(status: int, kind: str | None, body: bytes) -> None:
    said = Intake(answer=status, headers={} if kind is None else {"Content-Type": kind}, body=body)
    with otlp_receiver(intake=said) as receiver:
        await export(receiver.url)
    assert receiver.accepted == [b"payload"]


async def test_compressed_answer_is_a_delivery_and_none_is_asked_for() -> None:
    said = Intake(answer=200, headers={"Content-Encoding": "gzip"}, body=gzip.compress(b"\x0a\x00"))
    with otlp_receiver(intake=said) as receiver:
        await export(receiver.url)
    assert receiver.requests[0][2]["accept-encoding"] == "identity"


async def test_points_left_out_are_counted_from_an_answer_in_json() -> None:
    counters = Counters()
    body = b'{"partialSuccess": {"rejectedDataPoints": "3", "errorMessage": "too old"}}'
    with otlp_receiver(intake=Intake(answer=200, headers={"Content-Type": "application/json"}, body=body)) as receiver:
        await export(receiver.url, counters=counters)
    assert counters.to_stats().rejected_points == 3


@pytest.fixture
def certificates(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    """Give what a server needs, and the file that makes a client trust it."""
    authority, server = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.cert_pem.bytes())
    return server, str(file)


async def test_certificate_is_trusted_if_it_is_the_one_that_is_set(certificates: tuple[ssl.SSLContext, str]) -> None:
    server, file = certificates
    with running_intake(tls=server, intake=Intake(answer=200)) as receiver:
        await export(receiver.url, otlp_certificate=file)
        with pytest.raises(TemporaryDeliveryError, match="certificate"):
            await export(receiver.url)
    assert receiver.accepted == [b"payload"]


async def test_check_sends_an_empty_request_and_says_what_came_of_it() -> None:
    with otlp_receiver(intake=Intake(answer=200)) as receiver:
        exporter = OtlpExporter(Settings(otlp_endpoint=f"{receiver.url}/v1/metrics", otlp_seconds=0.3))
        assert await exporter.check() == EndpointCheck(True, None, 200)
        assert gzip.decompress(receiver.accepted[0]) == b""
        receiver.answer = 404
        assert await exporter.check() == EndpointCheck(True, "HTTP status 404", 404)
        receiver.answer = 503
        assert await exporter.check() == EndpointCheck(True, "HTTP status 503", 503)
        receiver.answer = HANG
        assert (await exporter.check()).answers is False
        await exporter.aclose()
    absent = OtlpExporter(Settings(otlp_endpoint=f"http://127.0.0.1:{free_port()}/v1/metrics"))
    check = await absent.check()
    assert not check.answers
    assert "ConnectError" in str(check.problem)
    await absent.aclose()
