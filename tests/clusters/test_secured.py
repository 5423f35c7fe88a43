"""Listeners that ask for passwords and certificates: all is measured there, too, and no password gets into anything."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Iterator

import pytest

from asyncdsm import DataStreams, Settings
from asyncdsm.cli.doctor import collect_report
from asyncdsm.delivery.exporters.memory import MemoryExporter
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.brokers.kafka_program import CLUSTER_ID
from tests.brokers.secured_kafka import MECHANISMS, PASSWORD, USER, SecuredKafka, secured_kafka
from tests.intake import counted
from tests.integrations.kafka.admin import find_commits, find_ends, recorded_offsets
from tests.integrations.kafka.clients import Clients, Login, clients_of

COUNT, SECONDS = 5, 60.0
LISTENERS = [
    *(("PASSWORDS", "SASL_PLAINTEXT", mechanism) for mechanism in MECHANISMS),
    ("CERTIFICATE", "SSL", None),
    ("BOTH_CERTIFICATES", "SSL", None),
    ("ENCRYPTED_PASSWORDS", "SASL_SSL", "SCRAM-SHA-512"),
]


@pytest.fixture(scope="module")
def secured() -> Iterator[SecuredKafka]:
    """A broker of this file's own."""
    with secured_kafka() as kafka:
        yield kafka


def login_at(kafka: SecuredKafka, listener: str, protocol: str, mechanism: str | None) -> Login:
    """Return how a client logs in at a listener."""
    asked = {"user": USER, "password": PASSWORD} if mechanism else {}
    ca = kafka.ca if "SSL" in protocol.split("_") else None
    certificate = kafka.certificate if listener == "BOTH_CERTIFICATES" else None
    return Login(protocol, mechanism, ca=ca, certificate=certificate, **asked)


async def exchange(clients: Clients, kafka: SecuredKafka, topic: str, listener: str, login: Login) -> None:
    """Send messages and read them, through a listener."""
    through, got = Kafka(kafka.addresses[listener]), list[int]()
    async with asyncio.timeout(SECONDS):
        async with clients.producing(through, login) as producer:
            for number in range(COUNT):
                answer = await producer.send(topic, 0, b"%d" % number)
                await producer.flush()
                await answer
        async with clients.consuming(through, topic, topic, login) as consumer:
            while len(got) < COUNT:
                got += map(int, await consumer.read())
            await consumer.commit()
    assert got == list(range(COUNT))


@pytest.mark.parametrize("at", LISTENERS, ids=str)
async def test_secured_listener_is_measured_as_any_other(
    secured: SecuredKafka,
    clients: Clients,
    captured_streams: Captured,
    at: tuple[str, str, str | None],
) -> None:
    topic = secured.topic()
    await exchange(clients, secured, topic, at[0], login_at(secured, *at))
    produced, consumed = captured_streams.produced(topic), captured_streams.consumed(topic)
    # Before its first answer, a producer on librdkafka does not know the cluster.
    assert [made.tag("kafka_cluster_id") for made in produced[1:]] == [CLUSTER_ID] * (COUNT - 1)
    assert [made.tag("kafka_cluster_id") for made in consumed] == [CLUSTER_ID] * COUNT
    assert [made.parent for made in consumed] == [made.hash for made in produced]
    ends = await asyncio.to_thread(find_ends, secured, topic)
    commits = await asyncio.to_thread(find_commits, secured, topic)
    tag = {"kafka_cluster_id": CLUSTER_ID}
    assert recorded_offsets(captured_streams, "kafka_commit", topic, **tag) == commits == ends == {0: COUNT}
    assert recorded_offsets(captured_streams, "kafka_produce", topic, **tag) == {0: COUNT - 1}


@pytest.mark.parametrize("way", ["confluent_kafka, wrap(class)", "aiokafka, wrap"])
async def test_password_is_in_no_log_no_payload_and_no_report(
    secured: SecuredKafka, way: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even while hooks fail, and their errors are logged with tracebacks."""
    caplog.set_level(logging.DEBUG, "asyncdsm")
    topic, exporter = secured.topic(), MemoryExporter()
    async with DataStreams(Settings(service="s"), exporter=exporter) as streams:
        for at in LISTENERS:
            await exchange(clients_of(way), secured, topic, at[0], login_at(secured, *at))
            topic = secured.topic()
        fail = "asyncdsm.integration.formats.kafka.KafkaClient.record_commits"
        monkeypatch.setattr(fail, lambda *_: 1 / 0)
        login = login_at(secured, *LISTENERS[0])
        await exchange(clients_of(way), secured, topic, "PASSWORDS", login)
        lags, shown = list(streams.lag()), repr(streams)
    assert streams.stats.errors > 0
    assert counted(exporter.payloads) == streams.stats.recorded == 2 * COUNT * (len(LISTENERS) + 1)
    log = "\n".join(logging.Formatter().format(record) for record in caplog.records if "asyncdsm" in record.name)
    assert "ZeroDivisionError" in log
    environ = {"DD_SERVICE": "s", "DD_TRACE_AGENT_URL": "http://127.0.0.1:9"}
    report = repr(await asyncio.to_thread(collect_report, environ))
    sent = b"".join(map(gzip.decompress, exporter.bodies)).decode(errors="replace")
    assert topic in sent
    for text in (log, sent, report, repr(lags), shown, repr(streams.stats)):
        assert PASSWORD not in text
        assert USER not in text
