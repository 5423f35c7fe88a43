"""Where a receiver that wants TLS or a client certificate hangs up, the error and the doctor say what to try."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from asyncdsm.cli.main import main
from asyncdsm.delivery.otlp import connection_hints
from asyncdsm.delivery.otlp.exporter import OtlpExporter
from asyncdsm.errors import DeliveryError
from asyncdsm.settings import Settings
from tests.brokers.process import free_port
from tests.intake import HANG, RESET, Intake, running_intake
from tests.otlp.test_tls import Files, files

__all__ = ["files"]


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"])
def demanding(files: Files, request: pytest.FixtureRequest) -> Files:
    """The files of a receiver that asks for a certificate: with TLS 1.3 it does so after the handshake."""
    files.server.maximum_version = request.param
    return files


@pytest.fixture
def foreign(tmp_path: Path) -> str:
    """A file with a client certificate of an authority that nobody trusts."""
    path = tmp_path / "foreign.pem"
    trustme.CA().issue_cert("somebody").private_key_and_cert_chain_pem.write_to_path(path)
    return str(path)


async def failure_of(exporter: OtlpExporter) -> str:
    try:
        with pytest.raises(DeliveryError) as raised:
            await exporter.export(b"payload")
    finally:
        await exporter.aclose()
    return str(raised.value)


def exporter_to(url: str, **more: Any) -> OtlpExporter:
    return OtlpExporter(Settings(otlp_endpoint=f"{url}/v1/metrics", **more))


@contextmanager
def running_words(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Run a server that answers one connection with these bytes, and hangs up.

    Yield its URL without a scheme, and a list that gets what comes.
    """
    came = list[bytes]()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                came.append(connection.recv(65_536))
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"//127.0.0.1:{listening.getsockname()[1]}", came
        thread.join(10)


async def test_missing_client_certificate_is_named(demanding: Files) -> None:
    with running_intake(tls=demanding.server, intake=Intake(answer=200)) as receiver:
        said = await failure_of(exporter_to(receiver.url, otlp_certificate=demanding.trusted))
    assert said.endswith(f"; {connection_hints.ASKS_FOR_CERTIFICATE}")
    assert "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE" in said


async def test_client_certificate_that_is_not_trusted_is_named(demanding: Files, foreign: str) -> None:
    with running_intake(tls=demanding.server, intake=Intake(answer=200)) as receiver:
        exporter = exporter_to(receiver.url, otlp_certificate=demanding.trusted, otlp_client_certificate=foreign)
        said = await failure_of(exporter)
    assert said.endswith(f"; {connection_hints.REFUSES_CERTIFICATE}")


async def test_receiver_that_is_not_trusted_leads_to_the_file_of_trusted_certificates(demanding: Files) -> None:
    with running_intake(tls=demanding.server, intake=Intake(answer=200)) as receiver:
        said = await failure_of(exporter_to(receiver.url))
    assert said.endswith(f"; {connection_hints.NOT_TRUSTED}")


async def test_url_without_tls_to_a_port_with_tls_is_explained(demanding: Files) -> None:
    with running_intake(tls=demanding.server, intake=Intake(answer=200)) as receiver:
        said = await failure_of(exporter_to(receiver.url.replace("https", "http")))
    assert said.endswith(f"; {connection_hints.SPEAKS_TLS}")


async def test_server_that_says_in_words_that_it_speaks_tls_is_understood() -> None:
    body = b"<p>The plain HTTP request was sent to HTTPS port"  # as nginx does
    with running_intake(intake=Intake(answer=400, headers={"Content-Type": "text/html"}, body=body)) as receiver:
        said = await failure_of(exporter_to(receiver.url))
    assert said == f"HTTP status 400; {connection_hints.SPEAKS_TLS}"


async def test_url_with_tls_to_a_port_without_is_explained() -> None:
    with running_words(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n") as (place, _):
        said = await failure_of(exporter_to(f"https:{place}"))
    assert said.endswith(f"; {connection_hints.SPEAKS_NO_TLS}")


async def test_receiver_that_has_answered_before_gets_no_hint(files: Files) -> None:
    files.server.verify_mode = ssl.CERT_NONE
    with running_intake(tls=files.server, intake=Intake(answers=[200], answer=RESET)) as receiver:
        exporter = exporter_to(receiver.url, otlp_certificate=files.trusted)
        await exporter.export(b"payload")
        said = await failure_of(exporter)
    assert not any(hint in said for hint in ("OTEL_", "TLS"))


@pytest.mark.parametrize("answer", [HANG, 503])
async def test_receiver_that_is_slow_or_answers_gets_no_hint(answer: int | str) -> None:
    with running_intake(intake=Intake(answer=answer)) as receiver:
        said = await failure_of(exporter_to(receiver.url, otlp_seconds=0.3))
    assert "OTEL_" not in said


async def test_port_that_nobody_listens_on_gets_no_hint() -> None:
    assert "OTEL_" not in await failure_of(exporter_to(f"https://127.0.0.1:{free_port()}"))


def test_doctor_says_what_to_try(files: Files, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("ASYNCDSM_DESTINATIONS", "otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", files.trusted)
    steps, problems = [], []
    with running_intake(tls=files.server, intake=Intake(answer=200)) as receiver:
        for url in (receiver.url, receiver.url.replace("https", "http")):
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
            assert main(["doctor", "--json"]) == 1
            report = json.loads(capsys.readouterr().out)
            steps.append(report["next_steps"][-1])
            problems.append(report["otlp"]["problem"])
    assert steps[0].startswith("The receiver may ask for a client certificate: set OTEL_EXPORTER_OTLP_CLIENT")
    assert steps[1].startswith("The port may speak TLS")
    assert [hint in problem for hint, problem in zip(("certificate", "TLS"), problems, strict=True)] == [True, True]


async def test_one_header_of_each_name_is_sent_and_the_last_of_the_program_wins() -> None:
    headers = (("user-agent", "me"), ("X-A", "1"), ("ACCEPT", "x/y"), ("x-a", "2"))
    with running_words(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (place, heads):
        exporter = exporter_to(f"http:{place}", otlp_headers=headers)
        await exporter.export(b"payload")
        await exporter.aclose()
    lines = heads[0].decode("latin-1").lower().split("\r\n")
    sent = sorted(line for line in lines if line.startswith(("user-agent:", "x-a:", "accept:")))
    assert sent == ["accept: x/y", "user-agent: me", "x-a: 2"]
