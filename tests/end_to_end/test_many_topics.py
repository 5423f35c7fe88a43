"""200,000 topics that nobody has seen before: bounded, every checkpoint accounted for, and one warning of each kind."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest
from asyncdsm_aiokafka.client import Client
from asyncdsm_asgi.carriers import in_edges as pushed_edges

from asyncdsm import DataStreams, Settings, set_produce_checkpoint, track_kafka_commit
from asyncdsm._internal import log
from asyncdsm.core.edge import MOST_EDGES, Edge
from asyncdsm.integration.formats import aws
from asyncdsm.integration.formats.amqp import RABBITMQ, in_edges, out_edges
from asyncdsm.integration.formats.kafka import last_in_edges
from asyncdsm.testing import Captured
from tests.intake import running_intake

TOPICS = 200_000
MOST_POINTS = Settings().max_points


def alive(kind: type) -> int:
    gc.collect()
    return sum(type(each) is kind for each in gc.get_objects())


@pytest.fixture(autouse=True)
def forget_what_was_said() -> Iterator[None]:
    log.forget_warnings()
    yield
    log.forget_warnings()


def test_two_hundred_thousand_topics_are_bounded_and_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "MINUTE", 3600.0)  # on a busy machine it takes more than one
    edges = alive(Edge)
    with (
        running_intake() as intake,
        DataStreams(Settings(service="s", agent_url=intake.url, request_seconds=60, shutdown_seconds=120)) as streams,
    ):
        for number in range(TOPICS):
            set_produce_checkpoint("kafka", f"topic-{number}", lambda *_: None)
        stats = streams.stats
        assert stats.recorded == TOPICS
        assert stats.recorded == stats.delivered + stats.pending + stats.dropped
        assert stats.dropped_by.keys() == {"points"}
        assert alive(Edge) - edges <= 3 * MOST_POINTS  # in use, being sent, and remembered
    stats = streams.stats
    assert (stats.recorded, stats.pending, stats.delivered) == (TOPICS, 0, intake.counted())
    assert stats.delivered + stats.dropped == TOPICS
    assert stats.delivered >= MOST_POINTS
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len([text for text in warnings if "distinct pathways" in text]) == 1
    assert len([text for text in warnings if "max_points" in text]) == 1
    assert all(len(text) < 2_000 for text in warnings)


@pytest.fixture
def kafka_client() -> Iterator[Client]:
    last_in_edges.clear()
    yield Client()
    last_in_edges.clear()


def test_kafka_client_keeps_edges_up_to_a_limit(kafka_client: Client) -> None:
    for number in range(3 * MOST_EDGES):
        topic = f"topic-{number}"
        assert kafka_client.out_edges[topic] is kafka_client.out_edges[topic]
        assert kafka_client.in_edges[topic] is kafka_client.in_edges[topic] is last_in_edges[topic]
    assert [len(kafka_client.out_edges), len(kafka_client.in_edges), len(last_in_edges)] == [MOST_EDGES] * 3


def test_kafka_client_keeps_size_limits_up_to_a_limit(
    kafka_client: Client, captured_streams: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(2 * MOST_EDGES):
        kafka_client.learn_size_limit(f"topic-{number}", 1000, "too large")
    assert len(kafka_client.size_limits) == MOST_EDGES
    assert len(caplog.records) <= 1000


def test_amqp_edges_are_kept_up_to_a_limit() -> None:
    for number in range(2 * MOST_EDGES):
        assert in_edges[f"topic-{number}", RABBITMQ].tags
        assert out_edges["", f"topic-{number}", RABBITMQ].tags
    assert len(in_edges) == len(out_edges) == MOST_EDGES


def test_cache_of_aws_edges_is_bounded() -> None:
    for number in range(10_000):
        assert aws.edges["in", "sqs", f"topic-{number}"].tags[1] == f"topic:topic-{number}"
    assert len(aws.edges) <= 4096


def test_warning_for_each_queue_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(5_000):
        log.warn_once(f"no-context-{number}", "no context")
    assert len(caplog.records) == 1000


def test_cache_of_edges_of_pushed_messages_is_bounded() -> None:
    for number in range(2 * MOST_EDGES):
        assert pushed_edges["sns", f"topic-{number}"].tags[1] == f"topic:topic-{number}"
    assert len(pushed_edges) == MOST_EDGES


def test_offsets_of_too_many_partitions_are_dropped_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    with (
        running_intake() as intake,
        DataStreams(Settings(service="s", agent_url=intake.url, max_points=5, bucket_seconds=60)) as streams,
    ):
        for partition in range(8):
            track_kafka_commit("billing", "orders", partition, 7)
        assert streams.stats.offsets_dropped == 3
    (bucket,) = [bucket for payload in intake.payloads for bucket in payload.stats or []]
    assert [backlog.value for backlog in bucket.backlogs or []] == [7] * 5
    (warning,) = [text for record in caplog.records if "offsets" in (text := record.getMessage())]
    assert warning.startswith("asyncdsm has dropped 3 offsets so far, because there are more than 5 distinct partition")
