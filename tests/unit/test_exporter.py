"""The exporter to an Agent: TCP, TLS and Unix socket, without an Agent, and what each answer means."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import anyio
import pytest
import trustme

from asyncdsm import Settings
from asyncdsm.delivery.exporters.agent import AgentExporter
from asyncdsm.delivery.exporters.container import container_id
from asyncdsm.errors import NoEndpointError, PayloadRefusedError, TemporaryDeliveryError
from tests.brokers.process import free_port
from tests.intake import RESET, Intake, running_intake


@pytest.fixture
def intake() -> Iterator[Intake]:
    with running_intake() as intake:
        yield intake


@asynccontextmanager
async def exporter(url: str, **settings: object) -> AsyncIterator[AgentExporter]:
    exporter = await anyio.to_thread.run_sync(
        lambda: AgentExporter(Settings(agent_url=url, **settings))  # type: ignore[arg-type]
    )
    try:
        yield exporter
    finally:
        await exporter.aclose()


async def test_export_over_tcp_posts_the_payload_with_its_headers(intake: Intake) -> None:
    async with exporter(intake.url, external_env="it-false") as agent:
        await agent.export(b"payload")
        await agent.export(b"payload")
    method, path, headers, body = intake.requests[0]
    assert (method, path, body) == ("POST", "/v0.1/pipeline_stats", b"payload")
    assert headers["content-type"] == "application/msgpack"
    assert headers["content-encoding"] == "gzip"
    assert headers["datadog-meta-lang"] == "python"
    assert headers["datadog-external-env"] == "it-false"
    assert {
        "datadog-meta-lang-version",
        "datadog-meta-lang-interpreter",
        "datadog-meta-tracer-version",
    } <= set(headers)


@pytest.fixture
def unix_socket_intake(socket_path: Path) -> Iterator[Intake]:
    with running_intake(socket_path=str(socket_path)) as intake:
        yield intake


async def test_export_over_a_unix_socket_delivers_the_payload(unix_socket_intake: Intake) -> None:
    async with exporter(unix_socket_intake.url) as agent:
        await agent.export(b"payload")
    assert unix_socket_intake.accepted == [b"payload"]


@pytest.fixture
def tls_intake(tmp_path: Path) -> Iterator[Intake]:
    authority, server = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with running_intake(tls=server) as intake:
        yield intake


async def test_export_over_tls_needs_a_trusted_certificate(
    tls_intake: Intake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with exporter(tls_intake.url) as stranger:
        with pytest.raises(TemporaryDeliveryError, match="certificate"):
            await stranger.export(b"payload")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with exporter(tls_intake.url) as agent:
        await agent.export(b"payload")
    assert tls_intake.accepted == [b"payload"]


async def test_export_with_an_api_key_posts_to_the_intake(intake: Intake) -> None:
    async with exporter(intake.url, api_key="secret") as direct:
        await direct.export(b"payload")
        intake.answer = 404
        with pytest.raises(PayloadRefusedError):
            await direct.export(b"payload")
    _, path, headers, _ = intake.requests[0]
    assert (path, headers["dd-api-key"]) == ("/api/v0.1/pipeline_stats", "secret")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_temporary_status_raises_temporary_delivery_error(intake: Intake, status: int) -> None:
    intake.answer = status
    async with exporter(intake.url) as agent:
        with pytest.raises(TemporaryDeliveryError, match=str(status)):
            await agent.export(b"payload")


@pytest.mark.parametrize("status", [301, 400, 401, 403, 413])
async def test_refusing_status_raises_payload_refused_error(intake: Intake, status: int) -> None:
    intake.answer = status
    async with exporter(intake.url) as agent:
        with pytest.raises(PayloadRefusedError, match=str(status)):
            await agent.export(b"payload")


@pytest.mark.parametrize("headers", [{"Content-Type": "text/html; charset=utf-8"}, {}])
async def test_web_page_with_status_200_is_no_delivery(intake: Intake, headers: dict[str, str]) -> None:
    intake.answer, intake.headers, intake.body = 200, headers, b"\n<!DOCTYPE html><title>Please log in"
    async with exporter(intake.url) as agent:
        with pytest.raises(TemporaryDeliveryError, match=r"status 200 .*which is no answer of an agent$"):
            await agent.export(b"payload")
        intake.headers, intake.body = {}, b'{"acknowledged":true}'
        await agent.export(b"payload")


async def test_status_404_raises_no_endpoint_error(intake: Intake) -> None:
    intake.answer = 404
    async with exporter(intake.url) as agent:
        with pytest.raises(NoEndpointError):
            await agent.export(b"payload")
        assert not await agent.lists_endpoint()
        intake.endpoints.append("/v0.1/pipeline_stats")
        assert await agent.lists_endpoint()


async def test_server_without_info_is_no_agent() -> None:
    with running_intake() as intake:
        async with exporter(f"{intake.url}/other") as agent:
            found = await agent.request_info()
    assert (found.answers, found.lists_endpoint, found.status) == (True, False, 202)
    assert found.problem == "HTTP status 202 for /info, which every agent has: its URL leads to another server or path"


async def test_server_whose_info_is_something_else_is_no_agent(intake: Intake) -> None:
    intake.answer, intake.body = 200, b"<html>"
    async with exporter(f"{intake.url}/other") as agent:
        found = await agent.request_info()
        assert (found.answers, found.lists_endpoint, found.status) == (True, False, 200)
        assert found.problem == "its answer to /info is not that of an agent: its URL leads to another server or path"
        intake.answer = 503
        found = await agent.request_info()
    assert (found.problem, found.status) == ("HTTP status 503 for /info, which every agent has", 503)


@pytest.mark.parametrize("in_seconds", [True, False])
async def test_retry_after_header_is_read_as_seconds_or_date(intake: Intake, in_seconds: bool) -> None:
    intake.answer = 429
    when = datetime.now(UTC) + timedelta(seconds=100)
    intake.headers["Retry-After"] = "100" if in_seconds else format_datetime(when, usegmt=True)
    async with exporter(intake.url) as agent:
        with pytest.raises(TemporaryDeliveryError) as caught:
            await agent.export(b"payload")
    assert caught.value.retry_after == pytest.approx(100, abs=2)


async def test_absent_agent_and_reset_connection_raise_temporary_delivery_error(intake: Intake) -> None:
    async with exporter(f"http://127.0.0.1:{free_port()}") as nobody:
        with pytest.raises(TemporaryDeliveryError):
            await nobody.export(b"payload")
        assert not await nobody.lists_endpoint()
    intake.answer = RESET
    async with exporter(intake.url) as agent:
        with pytest.raises(TemporaryDeliveryError):
            await agent.export(b"payload")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"1:name=systemd:/docker/{'a1' * 32}", "a1" * 32),
        (f"0::/kubepods/burstable/pod12/cri-containerd-{'b2' * 32}.scope", "b2" * 32),
        (
            "1:name=systemd:/ecs/34dc0b5e626f2c5c4c5170e34b10e765-1234567890",
            "34dc0b5e626f2c5c4c5170e34b10e765-1234567890",
        ),
        ("0::/", None),
        ("", None),
        ("0::/user.slice/session-2.scope", None),
    ],
)
def test_container_id_is_found_in_a_cgroup_line(line: str, expected: str | None) -> None:
    assert container_id([line]) == expected


async def test_export_cancelled_during_the_tls_handshake_closes_the_connection() -> None:
    accepted: list[anyio.abc.SocketStream] = []
    closed = anyio.Event()

    async def take_no_part(client: anyio.abc.SocketStream) -> None:
        async with client:
            accepted.append(client)
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while True:
                    await client.receive()
            closed.set()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610  (no Django)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, take_no_part)
        async with exporter(f"https://127.0.0.1:{port}") as agent:
            with anyio.move_on_after(0.3) as scope:
                await agent.export(b"payload")
            assert scope.cancelled_caught
            assert len(accepted) == 1
            with anyio.fail_after(30):
                await closed.wait()
        tasks.cancel_scope.cancel()
