"""What others may write, and what became of it once: each found by fuzzing or by reading, and mended."""

from __future__ import annotations

import gzip
import logging
from math import inf, nan
from typing import Any

import anyio
import pytest
from asyncdsm_asgi.carriers import BODY_READERS

from asyncdsm import Pathway, SettingError, Settings, consume_lambda_event
from asyncdsm._internal import log
from asyncdsm.core import lag
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.edge import Edge
from asyncdsm.delivery.exporters.agent import AgentExporter
from asyncdsm.delivery.exporters.http import parse_retry_after
from asyncdsm.delivery.payload import pack, unpack
from asyncdsm.integration.formats import aws
from asyncdsm.integration.formats.amqp import count_headers_bytes
from asyncdsm.testing import Captured
from tests import by_hand
from tests.intake import Intake, running_intake

SURROGATE = "\ud800"


@pytest.mark.parametrize("arrived", [1e300, 10**400, -1e300, inf, nan, -1, "soon"])
def test_malformed_time_of_arrival_is_ignored(arrived: Any) -> None:
    assert aws.read_kinesis_record(b"", "", arrived).broker_ns is None


def test_lambda_record_with_a_malformed_time_is_counted(captured_streams: Captured) -> None:
    record = {
        "eventSource": "aws:kinesis",
        "eventSourceARN": "arn:aws:kinesis:eu-west-1:1:stream/s",
        "kinesis": {"data": "", "approximateArrivalTimestamp": 1e300},
    }
    assert consume_lambda_event({"Records": [record]}) == [record]
    assert len(captured_streams.checkpoints) == 1


def test_broker_time_in_the_far_future_begins_no_pathway(captured_streams: Captured) -> None:
    edge, far = Edge("direction:in", "topic:t", "type:kafka"), 10**30
    pathway = by_hand.consume(edge, None, broker_ns=far)
    assert pathway is not None
    assert pathway.pathway_start_ns < far
    decoded = Pathway.decode(pathway.encode())
    assert decoded is not None
    assert decoded.pathway_start_ns == pathway.pathway_start_ns // 1_000_000 * 1_000_000


def test_name_that_utf8_cannot_encode_is_counted_and_sent(captured_streams: Captured) -> None:
    record = {"eventSource": "aws:sqs", "eventSourceARN": f"arn:aws:sqs:eu-west-1:1:{SURROGATE}", "body": "x"}
    consume_lambda_event({"Records": [record]})
    assert captured_streams.consumed("?")


def test_backlog_that_utf8_cannot_encode_keeps_its_bucket() -> None:
    aggregator = Aggregator("shop", None)
    aggregator.record_offset(lag.committed_tags("g", SURROGATE, 0), 5)
    (bucket,) = aggregator.take()
    payload = unpack(gzip.decompress(pack(bucket, aggregator.bucket_ns, Settings()).body))
    assert payload.stats is not None
    assert payload.stats[0].backlogs is not None
    assert "topic:?" in payload.stats[0].backlogs[0].tags


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("service", f"caf{SURROGATE}"),
        ("env", SURROGATE),
        ("hostname", SURROGATE),
        ("external_env", "it-false\r\nX-Other: 1"),
        ("external_env", "né"),
        ("api_key", "né"),
        ("api_key", "a\nb"),
        ("api_key", ""),
        ("agent_url", "http://agent/\n"),
        ("agent_url", "http://a b:80"),
        ("agent_url", "http://1.2.3.999"),
        ("agent_url", f"http://{SURROGATE}"),
        ("agent_url", f"http://agent/{SURROGATE}"),
        ("agent_url", "http://agent:0"),
        ("agent_url", "http://agent?debug=1"),
        ("agent_url", "http://agent#top"),
        ("agent_url", "unix:///run/a\0b"),
        ("agent_url", f"http://{'é' * 70}"),
        ("agent_url", "http://agentƎ_p"),
    ],
)
def test_setting_that_no_request_can_use_is_a_clear_error(name: str, value: str) -> None:
    given: dict[str, Any] = {name: value}
    with pytest.raises(SettingError, match=f"^{name} must be"):
        Settings(**given)


@pytest.mark.parametrize("text", ["nan", "-nan", "NaN"])
def test_malformed_retry_after_is_ignored(text: str) -> None:
    assert parse_retry_after(text) is None  # it made the next try never due


def asked(url: str) -> tuple[bool, str | None]:
    exporter = AgentExporter(Settings(agent_url=url))

    async def ask() -> tuple[bool, str | None]:
        try:
            info = await exporter.request_info()
            return info.lists_endpoint, info.problem
        finally:
            await exporter.aclose()

    return anyio.run(ask)


class Deep(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return "[" * 200_000 + "]" * 200_000


def test_deeply_nested_info_is_an_error_of_the_agent() -> None:
    with running_intake(intake=Intake(endpoints=[Deep()])) as intake:
        lists_endpoint, problem = asked(intake.url)
    assert not lists_endpoint
    assert "not that of an agent" in (problem or "")


def test_host_that_cannot_be_looked_up_is_a_delivery_error() -> None:
    lists_endpoint, problem = asked("http://a..b")
    assert not lists_endpoint
    assert problem


def test_name_with_line_breaks_adds_no_line_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    log.warn("edges: %s", "topic:a\nERROR all is lost\x1b[2J")
    log.info("edges: %s, %d", "é", 7)
    assert caplog.messages == ["edges: topic:a\\nERROR all is lost\\x1b[2J"]
    with caplog.at_level(logging.INFO, "asyncdsm"):
        log.info("edges: %s, %d", "é", 7)
    assert caplog.messages[-1] == "edges: é, 7"


def test_body_of_countless_events_is_not_decoded() -> None:
    assert len(BODY_READERS["batch"](b"[" + b",".join([b"{}"] * 1000) + b"]")) == 1000
    assert BODY_READERS["batch"](b"[" + b",".join([b"{}"] * 300_000) + b"]") == []


def test_string_that_utf8_cannot_encode_has_a_size() -> None:
    assert count_headers_bytes({"name": SURROGATE}) == 7
