"""Clients that are slow, silent or many: they are cut off, and everybody else is served."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from time import monotonic
from urllib.parse import urlsplit

import anyio
import pytest

from asyncdsm.agent.http import connections, intake_endpoint
from asyncdsm.agent.http.connections import KEEP_ALIVE_SECONDS, MAX_CONNECTIONS, max_connections
from asyncdsm.agent.http.live_events import MOST_STREAMS
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import INTAKE, Client, bucket, payload, point

HEAD = f"POST {INTAKE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/msgpack\r\n".encode()
BODY = payload(bucket(point()))
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def connect(client: Client) -> AsyncIterator[Callable[[], asyncio.Future[Pair]]]:
    """Open connections to the agent of `client`, which are closed in the end."""
    port = urlsplit(str(client.base_url)).port
    async with AsyncExitStack() as stack:

        async def opened() -> Pair:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            return reader, writer

        yield lambda: asyncio.ensure_future(opened())


Connect = Callable[[], "asyncio.Future[Pair]"]


async def trickle(pair: Pair, data: bytes) -> bytes:
    """Send a byte every now and then until the agent hangs up; return what it said."""
    reader, writer = pair
    said = asyncio.create_task(reader.read())
    with anyio.fail_after(60):
        for byte in data:
            if said.done():
                break
            writer.write(bytes([byte]))
            await anyio.sleep(0.02)
        try:
            return await said
        except ConnectionError:
            return b""


async def test_headers_that_trickle_are_cut_off(
    client: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    assert await trickle(await connect(), HEAD + b"X-Long: " + b"x" * 100_000) == b""
    assert (await client.get("/info")).status_code == 200


async def test_silent_connection_is_cut_off(client: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    reader, _ = await connect()
    with anyio.fail_after(60):
        with suppress(ConnectionError):
            assert await reader.read() == b""
    assert (await client.get("/info")).status_code == 200


async def test_headers_that_trickle_in_the_second_request_are_cut_off(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    reader, writer = await connect()
    writer.write(b"GET /info HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    assert b"HTTP/1.1" not in await trickle((reader, writer), HEAD + b"X-Long: " + b"x" * 100_000)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (b"Content-Length: 100000\r\n\r\n", b"x" * 100_000),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 100_000),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 60_000),
    ],
    ids=["length", "chunks", "chunk extension"],
)
async def test_body_that_trickles_is_refused_and_cut_off(
    client: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch, headers: bytes, body: bytes
) -> None:
    monkeypatch.setattr(intake_endpoint, "BODY_SECONDS", 0.3)
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    reader, writer = await connect()
    writer.write(HEAD + headers)
    said = await trickle((reader, writer), body)
    assert said == b"" or said.startswith(b"HTTP/1.1 408 ")
    assert (await client.get("/info")).status_code == 200
    answers = (await client.get("/api/metrics")).text
    assert 'intake_answers_total{status="408"} 1' in answers


async def test_body_after_the_answer_is_cut_off(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 1.0)
    reader, writer = await connect()
    writer.write(b"POST /v0.4/traces HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
    assert (await trickle((reader, writer), b"x" * 100_000)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("line", [b"X-Long: " + b"x" * 100_000, b"X: y\r\n" * 100_000], ids=["one", "many"])
async def test_headers_without_an_end_are_refused(client: Client, connect: Connect, line: bytes) -> None:
    reader, writer = await connect()
    writer.write(HEAD + line * 20)
    with anyio.fail_after(60):
        try:
            said = await reader.read()
        except ConnectionError:
            said = b""
    assert said == b"" or said.startswith(b"HTTP/1.1 431 ")
    assert (await client.get("/info")).status_code == 200


async def test_large_body_in_small_chunks_is_accepted(client: Client) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for byte in BODY:
            yield bytes([byte])
        yield b""

    answer = await client.post(INTAKE, content=chunks(), headers={"Content-Type": "application/msgpack"})
    assert answer.status_code == 202


async def test_answer_that_the_client_does_not_read_is_cut_off(
    client: Client, store: SQLiteStore, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "WRITE_SECONDS", 0.3)
    points = [point(Hash=number, EdgeTags=[f"topic:{number}", "type:kafka"]) for number in range(3_000)]
    assert (await client.report(payload(bucket(*points)))).status_code == 202
    _, writer = await connect()
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(b"GET /api/topology HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
    closed = False
    with anyio.fail_after(60):
        while not closed:
            await anyio.sleep(0.05)
            try:
                writer.write(b"GET /info HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await writer.drain()
            except ConnectionError:
                closed = True
    assert store.payloads == 1


async def test_half_open_connections_shut_out_no_client(
    client: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 50)
    half_open = [HEAD, HEAD + b"Content-Length: 100\r\n\r\nx", b""]
    for number in range(300):
        _, writer = await connect()
        writer.write(half_open[number % 3])
    began = monotonic()
    for number in range(20):
        assert (await client.report(payload(bucket(point(Hash=number))))).status_code == 202
    assert monotonic() - began < 30
    async with Client(base_url=client.base_url, timeout=20) as another:
        assert (await another.get("/info")).status_code == 200


ASKED = b"GET /info HTTP/1.1\r\nHost: localhost\r\n\r\n"
IN_BODY = HEAD + b"Content-Length: 100\r\n\r\nx"


@pytest.mark.parametrize("sent", [ASKED, IN_BODY], ids=["idle", "in body"])
async def test_idle_connections_shut_out_no_new_ones(
    client: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 20)
    for _ in range(40):
        reader, writer = await connect()
        writer.write(sent)
        if sent == ASKED:
            await reader.readuntil(b"}")
    opened = [await connect() for _ in range(10)]
    for _, writer in opened:
        writer.write(ASKED)
    with anyio.fail_after(60):
        for reader, _ in opened:
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")


async def test_connection_with_a_new_request_is_not_closed_as_the_oldest(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 5)
    pairs = [await connect() for _ in range(5)]
    for reader, writer in pairs:
        writer.write(ASKED)
        await reader.readuntil(b"{}}")
    reader, writer = pairs[0]  # the oldest
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY))
    await anyio.sleep(0.1)
    for _ in range(4):
        await connect()
    await anyio.sleep(0.1)
    writer.write(BODY)
    with anyio.fail_after(60):
        while not (line := await reader.readline()).startswith(b"HTTP/1.1 "):
            assert line, "was closed"
    assert line.startswith(b"HTTP/1.1 202 ")


async def test_live_streams_opened_at_once_are_bounded(client: Client, connect: Connect) -> None:
    pairs = [await connect() for _ in range(MOST_STREAMS * 2)]
    for _, writer in pairs:
        writer.write(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with anyio.fail_after(60):
        statuses = [(await reader.readline()).split()[1] for reader, _ in pairs]
        assert statuses.count(b"200") == MOST_STREAMS
        for _, writer in pairs:
            writer.close()
        while "asyncdsm_agent_live_streams 0.0\n" not in (await client.get("/api/metrics")).text:
            await anyio.sleep(0.05)


async def test_live_streams_outlive_half_open_connections(
    client: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 20)
    async with client.stream("GET", "/api/live") as live:
        lines = live.aiter_lines()
        assert await anext(lines) == ": asyncdsm"
        for _ in range(60):
            _, writer = await connect()
            writer.write(HEAD)
        await client.report(BODY)
        with anyio.fail_after(60):
            while not (await anext(lines)).startswith("data:"):
                pass


def test_connection_limit_leaves_half_of_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {(256, 4096): 128, (1024, 4096): MAX_CONNECTIONS, (-1, -1): MAX_CONNECTIONS, (1 << 20, 1 << 20): 512}
    for limit, most in limits.items():
        monkeypatch.setattr("resource.getrlimit", lambda _, limit=limit: limit)
        assert max_connections() == most


def test_idle_connections_outlive_the_interval_of_tracers() -> None:
    assert KEEP_ALIVE_SECONDS > 60  # they send every 10 s, and telemetry every 60 s


async def test_connection_is_kept_open_between_two_reports(connect: Connect) -> None:
    reader, writer = await connect()
    for seconds in (6, 0):  # uvicorn's own limit is 5 s
        writer.write(b"GET /info HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with anyio.fail_after(60):
            while b'"config":{}' not in await reader.readuntil(b"}"):
                pass
            assert await reader.readexactly(1) == b"}"
        await anyio.sleep(seconds)
