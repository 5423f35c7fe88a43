"""Payloads are forwarded unchanged, and each one is counted as delivered, pending or dropped."""

from __future__ import annotations

import gzip
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Any

import anyio
import pytest
from anyio import to_thread

from asyncdsm._internal import log
from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.intake.forward_exporter import is_own_address
from asyncdsm.delivery import retry
from asyncdsm.settings import Settings
from tests.agent.payloads import GZIP, INTAKE, Client, bucket, payload, point
from tests.intake import HANG, RESET, Intake, running_intake

TOKEN = "a-token-for-the-tests"  # noqa: S105


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry soon, and log every warning."""
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.02)
    monkeypatch.setattr(retry, "LONGEST_DELAY", 0.1)
    log.forget_warnings()


@asynccontextmanager
async def listening(port: int = 0) -> AsyncIterator[Intake]:
    """Run an intake inside the block."""
    intake = running_intake(port=port)
    yield await to_thread.run_sync(intake.__enter__)
    await to_thread.run_sync(intake.__exit__, None, None, None)


@asynccontextmanager
async def passing_on() -> AsyncIterator[tuple[Client, Intake]]:
    """Run an agent that forwards to an intake, and a client of the agent."""
    async with listening() as intake, running_agent(forward=intake.url) as agent, Client(base_url=agent.url) as client:
        yield client, intake


def body(number: int) -> bytes:
    return gzip.compress(payload(bucket(point(Hash=number))), mtime=number)


async def forwarded(client: Client) -> dict[str, Any]:
    """Return the counters, which balance at any time."""
    shown: dict[str, Any] = (await client.get("/api/health")).json()["forwarded"]
    assert shown["recorded"] == shown["delivered"] + shown["pending"] + sum(shown["dropped"].values())
    return shown


async def accounts(client: Client, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    with anyio.fail_after(60):
        while not is_so(shown := await forwarded(client)):
            await anyio.sleep(0.02)
        return shown


async def test_forwarded_bytes_and_headers_are_unchanged() -> None:
    sent = {
        **GZIP,
        "Datadog-Meta-Lang": "go",
        "Datadog-Meta-Tracer-Version": "v2.0.1",
        "Datadog-Container-ID": "abc",
        "User-Agent": "Go-http-client/1.1",
        "X-Own": "kept",
    }
    async with passing_on() as (client, intake):
        for number in range(5):
            answer = await client.post(INTAKE, content=body(number), headers=sent)
            assert answer.status_code == 202
        await accounts(client, lambda shown: shown["delivered"] == 5)
    assert intake.accepted == [body(number) for number in range(5)]
    for method, path, headers, _ in intake.requests:
        assert (method, path) == ("POST", INTAKE)
        assert {name: headers.get(name.lower()) for name in sent} == sent
        assert set(headers) - {name.lower() for name in sent} == {"host", "content-length", "via"}


async def test_uncompressed_payload_is_forwarded_without_content_encoding() -> None:
    async with passing_on() as (client, intake):
        await client.report(payload(bucket(point())))
        await accounts(client, lambda shown: shown["delivered"] == 1)
    assert intake.accepted == [payload(bucket(point()))]
    assert "content-encoding" not in intake.requests[0][2]


async def test_payloads_wait_until_the_target_is_back() -> None:
    async with listening() as intake:
        port = int(intake.url.rpartition(":")[2])
    async with running_agent(forward=intake.url) as agent, Client(base_url=agent.url) as client:
        for number in range(4):
            assert (await client.report(body(number), gzipped=True)).status_code == 202
        assert (await forwarded(client))["pending"] == 4
        async with listening(port) as intake:
            await accounts(client, lambda shown: shown["delivered"] == 4)
    assert intake.accepted == [body(number) for number in range(4)]


async def test_flapping_target_gets_every_payload() -> None:
    async with passing_on() as (client, intake):
        intake.answers = [503, RESET, 202, 429, 500, 202, RESET, RESET, 202]
        for number in range(6):
            await client.report(body(number), gzipped=True)
        await accounts(client, lambda shown: shown["delivered"] == 6)
    assert intake.accepted == [body(number) for number in range(6)]


async def test_payload_that_a_web_page_answers_waits_for_an_agent() -> None:
    async with passing_on() as (client, intake):
        intake.answers, intake.body = [200], b"<html>Please log in"
        await client.report(body(0), gzipped=True)
        with anyio.fail_after(60):
            while not intake.requests:
                await anyio.sleep(0.02)
        intake.body = b""
        await accounts(client, lambda shown: shown["delivered"] == 1)
    assert intake.accepted == [body(0), body(0)]  # the page, and the agent


async def test_payload_that_the_target_refuses_is_dropped_and_counted() -> None:
    async with passing_on() as (client, intake):
        intake.answers = [400, 202, 413]
        for number in range(4):
            await client.report(body(number), gzipped=True)
        shown = await accounts(client, lambda shown: shown["pending"] == 0)
    assert shown == {"recorded": 4, "delivered": 2, "pending": 0, "dropped": {"rejected": 2}}
    assert intake.accepted == [body(1), body(3)]


async def test_refused_token_is_logged_with_how_to_give_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        running_agent(token=TOKEN) as far,
        running_agent(forward=far.url) as near,
        Client(base_url=near.url) as client,
    ):
        await client.report(body(1), gzipped=True)
        await accounts(client, lambda shown: shown["pending"] == 0)
        assert "--forward http://agent:TOKEN@HOST:PORT" in (await client.get("/api/health")).text
    assert "give it in the address: --forward http://agent:TOKEN@HOST:PORT" in caplog.text
    assert "ASYNCDSM_AGENT_TOKEN" not in caplog.text


async def test_payloads_that_a_slow_target_loses_are_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Payloads that cannot be delivered are counted and logged. Their senders do not wait for them."""
    monkeypatch.setattr(Settings, "shutdown_seconds", 0.2)
    async with passing_on() as (client, intake):
        intake.answer = HANG
        for number in range(3):
            assert (await client.report(body(number), gzipped=True)).status_code == 202
        assert (await forwarded(client))["pending"] == 3
        with anyio.fail_after(60):
            while not intake.requests:
                await anyio.sleep(0.02)
    assert "asyncdsm agent lost 3 payloads, not forwarded before it ended" in caplog.text
    assert intake.accepted == []


async def test_oldest_waiting_payloads_are_dropped_beyond_the_outbox_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "max_outbox_bytes", 2 * len(body(1)) + 10)
    async with listening() as intake:
        pass
    async with running_agent(forward=intake.url) as agent, Client(base_url=agent.url) as client:
        for number in range(5):
            await client.report(body(number), gzipped=True)
        shown = await forwarded(client)
        assert shown["dropped"] == {"outbox": 3}
        metrics = (await client.get("/api/metrics")).text
        assert 'forwarded_payloads{state="dropped outbox"} 3' in metrics


async def test_payloads_reach_an_agent_with_the_token_in_the_address() -> None:
    async with running_agent(token=TOKEN) as far:
        url = far.url.replace("http://", f"http://agent:{TOKEN}@")
        async with running_agent(forward=url) as near, Client(base_url=near.url) as client:
            await client.report(body(1), gzipped=True)
            await accounts(client, lambda shown: shown["delivered"] == 1)
        assert far.store.payloads == 1


async def test_agents_that_forward_in_a_circle_refuse_the_payload_that_comes_back() -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with (
        running_agent(forward=f"http://127.0.0.1:{port}") as one,
        running_agent(port=port, forward=one.url) as other,
        Client(base_url=one.url) as client,
        Client(base_url=other.url) as far,
    ):
        await client.report(body(1), gzipped=True)
        assert (await accounts(client, lambda shown: shown["pending"] == 0))["delivered"] == 1
        assert (await accounts(far, lambda shown: shown["pending"] == 0))["dropped"] == {"rejected": 1}
        assert (one.store.payloads, other.store.payloads) == (1, 1)


def test_addresses_of_the_agent_itself_are_recognized() -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for host in ("localhost", "127.0.0.1", "127.0.0.5", socket.gethostname()):
        assert is_own_address(f"http://{host}:{port}", port)
        assert not is_own_address(f"http://{host}:{port}", port + 1)
    assert not is_own_address("http://192.0.2.1:80", 80)
    assert not is_own_address("http://no-such-host.invalid", 80)
    command = [sys.executable, "-m", "asyncdsm", "agent", "--port", str(port)]
    done = subprocess.run(
        [*command, "--forward", f"http://user:secret@localhost:{port}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        f"asyncdsm agent: --forward must not be the URL of this agent itself, got 'http://…@localhost:{port}'"
    )
    assert "secret" not in done.stderr


@pytest.mark.parametrize("url", ["ftp://agent", "agent:8126", "http://"])
async def test_invalid_forward_address_is_rejected(url: str) -> None:
    with pytest.raises(ValueError, match=r"--forward must be an http.*, got "):
        async with running_agent(forward=url):
            raise AssertionError
