"""The agent takes what is too much for nobody, and is there afterwards."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest

from asyncdsm.agent.intake import MAX_BODY_BYTES, MAX_UNPACKED_BYTES, IntakeError, read_body, read_report
from tests.agent.payloads import INTAKE, MSGPACK, Client, bucket, payload, point

MIB = 1 << 20


def bomb() -> bytes:
    """Return a gibibyte of zeros, in gzip: one block, again and again."""
    packer = zlib.compressobj(9, wbits=31)
    first, block = (packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + block * 1023


async def endless() -> AsyncIterator[bytes]:
    for _ in range(MAX_BODY_BYTES // 65_536 + 16):
        yield bytes(65_536)


async def test_a_body_that_is_too_long(client: Client) -> None:
    for content in (endless(), bytes(MAX_BODY_BYTES + 1)):
        response = await client.post(INTAKE, content=content, headers=MSGPACK)
        assert (response.status_code, response.json()["error"]["path"]) == (413, "body")
    assert (await client.report(payload())).status_code == 202


async def test_a_body_that_does_not_end_is_not_read_on() -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += MIB
            yield bytes(MIB)

    with pytest.raises(IntakeError) as caught:
        await read_body(body())
    assert (caught.value.status, read) == (413, MAX_BODY_BYTES + MIB)


async def test_a_body_as_long_as_it_may_be(client: Client) -> None:
    body = payload(Hostname="h" * (MAX_BODY_BYTES - 200))
    body = payload(Hostname="h" * (2 * MAX_BODY_BYTES - 200 - len(body)))
    assert len(body) == MAX_BODY_BYTES
    assert (await client.report(body)).status_code == 202


def test_a_bomb() -> None:
    body = bomb()
    assert len(body) < 2 * MIB
    tracemalloc.start()
    try:
        with pytest.raises(IntakeError, match="unpacks to more than") as caught:
            read_report(body, "gzip")
        assert caught.value.status == 413
        assert tracemalloc.get_traced_memory()[1] < 3 * MAX_UNPACKED_BYTES
    finally:
        tracemalloc.stop()


async def test_a_bomb_is_answered(client: Client) -> None:
    response = await client.report(bomb(), gzipped=True)
    assert (response.status_code, response.json()["error"]["path"]) == (413, "body")
    assert (await client.report(payload())).status_code == 202


def test_bombs_one_behind_the_other() -> None:
    part = gzip.compress(bytes(MAX_UNPACKED_BYTES // 2 + 1))
    with pytest.raises(IntakeError, match="unpacks to more than"):
        read_report(part * 2, "gzip")


def test_many_points_of_few_bytes_take_little_memory() -> None:
    body = payload(bucket(*(point(Hash=hash_) for hash_ in range(5_000))))
    tracemalloc.start()
    try:
        assert len(read_report(body, "").buckets[0].points) == 5_000
        assert tracemalloc.get_traced_memory()[1] < 20 * len(body)
    finally:
        tracemalloc.stop()


def lines() -> Iterator[bytes]:
    yield f"POST {INTAKE} HTTP/1.1".encode()
    yield b"Host: localhost"
    yield b"Content-Type: application/msgpack"
    yield b"Content-Length: 100\r\n\r\nonly the beginning"


async def test_a_client_that_hangs_up(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    port = urlsplit(str(client.base_url)).port
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\r\n".join(lines()))
    await writer.drain()
    assert (await client.get("/info")).status_code == 200
    writer.close()
    await writer.wait_closed()
    for _ in range(5):
        assert (await client.get("/info")).status_code == 200
    assert caplog.text == ""
