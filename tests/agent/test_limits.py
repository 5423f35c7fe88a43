"""Requests that are too large or too slow are refused, and the agent goes on."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from secrets import token_hex
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest

from asyncdsm.agent.intake import body as body_module
from asyncdsm.agent.intake import sketches
from asyncdsm.agent.intake.body import MAX_BODY_BYTES, MAX_UNPACKED_BYTES, BodyMemory, read_body
from asyncdsm.agent.intake.errors import IntakeError
from asyncdsm.agent.intake.fields import MAX_BUCKETS, MAX_ITEMS
from asyncdsm.agent.intake.payload import read_report
from tests.agent.payloads import INTAKE, MSGPACK, Client, bins_of, bucket, payload, point, sketch

MIB = 1 << 20


def bomb() -> bytes:
    """Return a gibibyte of zeros, in gzip: one block, again and again."""
    packer = zlib.compressobj(9, wbits=31)
    first, block = (packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + block * 1023


async def endless() -> AsyncIterator[bytes]:
    for _ in range(MAX_BODY_BYTES // 65_536 + 16):
        yield bytes(65_536)


async def test_body_that_is_too_large_is_rejected_with_413(client: Client) -> None:
    for content in (endless(), bytes(MAX_BODY_BYTES + 1)):
        response = await client.post(INTAKE, content=content, headers=MSGPACK)
        assert (response.status_code, response.json()["error"]["path"]) == (413, "body")
    assert (await client.report(payload())).status_code == 202


async def test_endless_body_is_not_read_beyond_the_limit() -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += MIB
            yield bytes(MIB)

    with pytest.raises(IntakeError) as caught:
        await read_body(body())
    assert (caught.value.status, read) == (413, MAX_BODY_BYTES + MIB)


async def test_body_of_the_maximum_size_is_accepted(client: Client) -> None:
    body = payload(Hostname="h" * (MAX_BODY_BYTES - 200))
    body = payload(Hostname="h" * (2 * MAX_BODY_BYTES - 200 - len(body)))
    assert len(body) == MAX_BODY_BYTES
    assert (await client.report(body)).status_code == 202


def test_gzip_bomb_is_rejected_within_bounded_memory() -> None:
    body = bomb()
    assert len(body) < 2 * MIB
    tracemalloc.start()
    try:
        with pytest.raises(IntakeError, match="must unpack to at most") as caught:
            read_report(body, "gzip")
        assert caught.value.status == 413
        assert tracemalloc.get_traced_memory()[1] < 3 * MAX_UNPACKED_BYTES
    finally:
        tracemalloc.stop()


async def test_gzip_bomb_is_rejected_with_413(client: Client) -> None:
    response = await client.report(bomb(), gzipped=True)
    assert (response.status_code, response.json()["error"]["path"]) == (413, "body")
    assert (await client.report(payload())).status_code == 202


def test_gzip_bomb_of_many_members_is_rejected() -> None:
    part = gzip.compress(bytes(MAX_UNPACKED_BYTES // 2 + 1))
    with pytest.raises(IntakeError, match="must unpack to at most"):
        read_report(part * 2, "gzip")


def test_many_empty_gzip_members_are_rejected_in_linear_time() -> None:
    """16 MB of them took more than ten minutes."""
    empty = gzip.compress(b"")
    for body in (empty * (MAX_BODY_BYTES // len(empty)), empty * 100_000 + gzip.compress(payload())):
        began = monotonic()
        with pytest.raises(IntakeError, match="at most 1000 gzip members") as caught:
            read_report(body, "gzip")
        assert caught.value.status == 413
        assert monotonic() - began < 30


def test_payload_in_many_gzip_members_is_read() -> None:
    body = payload(bucket(point()), Hostname="h" * 2_000)
    packed = b"".join(gzip.compress(body[start : start + 5]) for start in range(0, len(body), 5))
    assert len(read_report(packed, "gzip").buckets) == 1


def test_gzip_member_larger_than_a_chunk_is_read_with_the_next_ones() -> None:
    body = payload(bucket(point()), Hostname=token_hex(200_000))
    packed = gzip.compress(body[:300_000]) + gzip.compress(b"") + gzip.compress(body[300_000:])
    assert len(read_report(packed, "gzip").buckets) == 1


def test_payload_with_too_many_buckets_is_rejected() -> None:
    body = payload(*[{"Start": 1, "Duration": 1}] * (MAX_BUCKETS + 1))
    with pytest.raises(IntakeError, match=f"of length <= {MAX_BUCKETS}") as caught:
        read_report(body, "")
    assert (caught.value.status, caught.value.path) == (413, "$.Stats")


SMALL = {"Hash": 1, "ParentHash": 0, "PathwayLatency": b"", "EdgeLatency": b""}
OFFSET = {"Tags": [], "Value": 1}


@pytest.mark.parametrize("name", ["Stats", "Backlogs"])
def test_list_that_is_too_long_costs_no_other_bucket(name: str) -> None:
    items = [SMALL if name == "Stats" else OFFSET] * (MAX_ITEMS + 1)
    report = read_report(payload(bucket(**{name: items}), bucket(point())), "")
    assert len(report.buckets[1].points) == 1
    assert dict(report.unread) == {name: 1}


def test_buckets_beyond_the_limit_of_points_are_left_out_and_counted() -> None:
    half = bucket(*[SMALL] * (MAX_ITEMS // 2))
    report = read_report(payload(half, half, half, half), "")
    assert sum(len(bucket.points) for bucket in report.buckets) == MAX_ITEMS
    assert dict(report.unread) == {"too many points and backlogs": 2}


WIDE = sketch(gamma=1.02, offset=0, contiguousBinCounts=[1.0] * 70_000, contiguousBinIndexOffset=-35_000)
TINY = sketch(gamma=1.02, offset=0, contiguousBinCounts=[1.0])
SPARSE = sketch(gamma=1.02, offset=0, binCounts=dict.fromkeys(range(-30_000, 30_000), 1.0))
HEAVY = {
    "sketches as wide as can be": lambda: bucket(*[point(EdgeLatency=WIDE, PathwayLatency=WIDE)] * 55),
    "sparse sketches": lambda: bucket(*[point(EdgeLatency=SPARSE, PathwayLatency=SPARSE)] * 34),
    "foreign sketches": lambda: bucket(*[{**SMALL, "PathwayLatency": TINY, "EdgeLatency": TINY}] * MAX_ITEMS),
    "unreadable sketches": lambda: bucket(*[point(EdgeLatency=b"\xff\xff")] * 90_000),
    "odd points": lambda: bucket(*[{**SMALL, "Hash": None}] * MAX_ITEMS),
    "signed hashes": lambda: bucket(*[{**SMALL, "Hash": -1}] * MAX_ITEMS),
    "odd backlogs": lambda: bucket(Backlogs=[{**OFFSET, "Value": 1.0}] * MAX_ITEMS),
    "tags": lambda: bucket(point(EdgeTags=[""] * 30_000_000)),
}


@pytest.mark.parametrize("make", HEAVY.values(), ids=HEAVY)
def test_malicious_slow_body_is_read_within_seconds(make: Callable[[], dict[str, Any]]) -> None:
    body = payload(make())
    assert len(body) < MAX_UNPACKED_BYTES
    began = monotonic()
    read_report(body, "")
    assert monotonic() - began < 20  # each takes a second at most on a machine that does nothing else


async def test_bodies_beyond_the_memory_limit_are_rejected_with_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "MAX_HELD_BYTES", 2 * MIB)
    memory = BodyMemory()

    async def body(size: int) -> AsyncIterator[bytes]:
        yield bytes(size)

    first = await memory.read(body(MIB))
    with pytest.raises(IntakeError, match="send it again") as caught:
        await memory.read(body(MIB + 1))
    assert (caught.value.status, memory.held) == (503, MIB)
    memory.release(first)
    assert len(await memory.read(body(2 * MIB))) == 2 * MIB


async def test_body_with_too_large_a_content_length_is_rejected_unread(client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(str(client.base_url)).port)
    head = f"POST {INTAKE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/msgpack\r\n"
    writer.write(f"{head}Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode())
    with anyio.fail_after(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    writer.close()


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


async def test_client_that_disconnects_in_its_body_logs_nothing(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
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


def test_foreign_sketches_beyond_the_limit_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketches, "MAX_FOREIGN_SKETCHES", 5)
    points = [point(Hash=number, PathwayLatency=TINY, EdgeLatency=TINY) for number in range(4)]
    report = read_report(payload(bucket(*points, point(Hash=9))), "")
    assert [one.hash for one in report.buckets[0].points] == [0, 1, 2, 3, 9]
    assert report.unread == {"EdgeLatency": 1, "PathwayLatency": 2}
    assert bins_of(report, group=4)
