"""Certificates of the delivery over OTLP: a file that is missing or wrong is named at the start, in the log."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from asyncdsm import DataStreams
from asyncdsm._internal import log
from asyncdsm.core.edge import Edge
from asyncdsm.delivery.otlp.exporter import OtlpExporter
from asyncdsm.delivery.otlp.tls import make_tls_context
from asyncdsm.errors import SettingError, TemporaryDeliveryError
from asyncdsm.settings import Settings
from tests import by_hand
from tests.intake import Intake, running_intake

SENT = Edge("direction:out", "topic:orders", "type:kafka")


class Files:
    """The certificates of a receiver that asks for one, and of a service."""

    def __init__(self, folder: Path) -> None:
        authority, self.server = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self.server)
        authority.configure_trust(self.server)
        self.server.verify_mode = ssl.CERT_REQUIRED
        service = authority.issue_cert("billing")
        self.trusted, self.own, self.key, self.both, self.locked = (
            str(folder / f"{name}.pem") for name in ("trusted", "own", "key", "both", "locked")
        )
        authority.cert_pem.write_to_path(self.trusted)
        service.cert_chain_pems[0].write_to_path(self.own)
        service.private_key_pem.write_to_path(self.key)
        service.private_key_and_cert_chain_pem.write_to_path(self.both)
        key = serialization.load_pem_private_key(service.private_key_pem.bytes(), None)
        formats = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        Path(self.locked).write_bytes(key.private_bytes(*formats, serialization.BestAvailableEncryption(b"secret")))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


async def export(url: str, **more: Any) -> None:
    exporter = OtlpExporter(Settings(otlp_endpoint=f"{url}/v1/metrics", **more))
    try:
        await exporter.export(b"payload")
    finally:
        await exporter.aclose()


async def test_receiver_that_asks_for_a_certificate_gets_the_one_that_is_set(files: Files) -> None:
    with running_intake(tls=files.server, intake=Intake(answer=200)) as receiver:
        await export(
            receiver.url,
            otlp_certificate=files.trusted,
            otlp_client_certificate=files.own,
            otlp_client_key=files.key,
        )
        await export(receiver.url, otlp_certificate=files.trusted, otlp_client_certificate=files.both)
        with pytest.raises(TemporaryDeliveryError):
            await export(receiver.url, otlp_certificate=files.trusted)
    assert receiver.accepted == [b"payload"] * 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"otlp_certificate": "/nowhere.pem"}, "otlp_certificate must be .*No such file.* got '/nowhere.pem'"),
        ({"otlp_certificate": "key"}, "otlp_certificate must be a file of certificates"),
        ({"otlp_client_certificate": "/nowhere.pem"}, "otlp_client_certificate must be .*No such file"),
        ({"otlp_client_certificate": "own"}, "otlp_client_certificate must be a file of a certificate and its key"),
        ({"otlp_client_certificate": "own", "otlp_client_key": "/nowhere.pem"}, "otlp_client_key must be .*No such"),
        ({"otlp_client_certificate": "/nowhere.pem", "otlp_client_key": "key"}, "otlp_client_certificate must be"),
        ({"otlp_client_certificate": "own", "otlp_client_key": "trusted"}, "otlp_client_key must be"),
        ({"otlp_client_certificate": "own", "otlp_client_key": "locked"}, "otlp_client_key .* without a password"),
        ({"otlp_client_key": "key"}, "otlp_client_key must be given together with otlp_client_certificate"),
    ],
)
def test_file_that_cannot_be_used_is_an_error_that_names_its_setting(
    files: Files, given: dict[str, str], said: str
) -> None:
    settings: Any = {name: getattr(files, value, value) for name, value in given.items()}
    with pytest.raises(SettingError, match=said):
        make_tls_context(Settings(otlp_endpoint="https://localhost:1/v1/metrics", **settings))


async def test_missing_file_holds_up_no_end_of_the_program() -> None:
    """Neither when it was found missing long before, nor when the end comes first."""
    for lasts in (0.0, 0.5):
        settings = Settings(
            otlp_endpoint="https://127.0.0.1:1/v1/metrics", otlp_certificate="/nowhere.pem", shutdown_seconds=20.0
        )
        async with DataStreams(settings) as streams:
            by_hand.produce(SENT)
            await anyio.sleep(lasts)
            began = anyio.current_time()
        assert anyio.current_time() - began < 10
        assert (streams.stats.pending, streams.stats.dropped_by) == (0, {"shutdown": 1})


@pytest.mark.parametrize("with_agent", [True, False])
async def test_missing_file_is_named_at_the_start_before_anything_is_sent(
    caplog: pytest.LogCaptureFixture, with_agent: bool
) -> None:
    log.forget_warnings()
    with running_intake() as agent:
        more: Any = {"agent_url": agent.url} if with_agent else {}
        settings = Settings(
            otlp_endpoint="https://127.0.0.1:1/v1/metrics",
            otlp_certificate="/nowhere.pem",
            flush_seconds=3600.0,
            shutdown_seconds=0.5,
            **more,
        )
        async with DataStreams(settings) as streams:
            by_hand.produce(SENT)
            with anyio.fail_after(30):
                while not streams.stats.errors:
                    await anyio.sleep(0.01)
            messages = {record.getMessage() for record in caplog.records if record.name == "asyncdsm"}
    assert messages == {
        "asyncdsm cannot deliver, and will try again: otlp_certificate must be a file of certificates that can be read "
        "(No such file or directory), got '/nowhere.pem'"
    }
    stats = streams.stats.otlp if with_agent else streams.stats
    assert stats is not None
    assert (stats.recorded, stats.delivered, stats.pending, stats.dropped_by) == (1, 0, 0, {"shutdown": 1})
    assert agent.counted() == with_agent
