"""Agents that fail, each in a way of its own, until they are told to be well."""

from __future__ import annotations

import asyncio
import os
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from tests.intake import Intake

MIB = 1 << 20
NEVER = 3600.0

Fault = Callable[["FailingAgent", StreamReader, StreamWriter], Awaitable[None]]


@dataclass
class FailingAgent(Intake):
    """An intake that treats every connection by `fault`, for as long as it has one."""

    fault: Fault | None = None
    failed: int = 0
    """How many connections met the fault."""

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Treat one connection."""
        if self.fault is None:
            await super().serve(reader, writer)
            return
        self.failed += 1
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await self.fault(self, reader, writer)
        finally:
            writer.close()

    async def take(self, reader: StreamReader) -> None:
        """Take one payload, as a well agent does, and not answer yet."""
        self.accepted.append(await request(reader))


async def request(reader: StreamReader) -> bytes:
    """Read one request; return its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = head.partition("content-length:")[2].partition("\r\n")[0]
    return await reader.readexactly(int(length or 0))


async def hung_after_accept(agent: FailingAgent, reader: StreamReader, writer: StreamWriter) -> None:
    """Accept the connection, and nothing more."""
    await asyncio.sleep(NEVER)


async def slow(agent: FailingAgent, reader: StreamReader, writer: StreamWriter) -> None:
    """Take the payload, and answer when nobody listens any more."""
    await agent.take(reader)
    await asyncio.sleep(1.5)
    writer.write(b"HTTP/1.1 202 OK\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


async def dripping(agent: FailingAgent, reader: StreamReader, writer: StreamWriter) -> None:
    """Take the payload, and answer a byte at a time, without end."""
    await agent.take(reader)
    for byte in b"HTTP/1.1 202 OK\r\nX-Endless: " + b"x" * MIB:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def busy(agent: FailingAgent, reader: StreamReader, writer: StreamWriter) -> None:
    """Answer that there is too much to do just now."""
    await request(reader)
    writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()


async def half_closing(agent: FailingAgent, reader: StreamReader, writer: StreamWriter) -> None:
    """Say at once that nothing will be answered, and go on reading."""
    writer.write_eof()
    while await reader.read(MIB):
        pass


async def garbage(agent: FailingAgent, reader: StreamReader, writer: StreamWriter) -> None:
    """Answer what is no HTTP."""
    await request(reader)
    writer.write(os.urandom(1000) + b"\r\n\r\n")
    await writer.drain()


async def broken_off(agent: FailingAgent, reader: StreamReader, writer: StreamWriter) -> None:
    """Take the payload, and break off in the middle of the answer's head."""
    await agent.take(reader)
    writer.write(b"HTTP/1.1 202 Accep")
    await writer.drain()


async def a_hundred_megabytes(agent: FailingAgent, reader: StreamReader, writer: StreamWriter) -> None:
    """Take the payload, and answer at length."""
    await agent.take(reader)
    await flood(writer)


async def flood(writer: StreamWriter) -> None:
    """Answer 200 and 100 MiB, as far as somebody reads them."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (100 * MIB))
    for _ in range(100):
        writer.write(bytes(MIB))
        await writer.drain()


async def endless_head(agent: FailingAgent, reader: StreamReader, writer: StreamWriter) -> None:
    """Answer with a header line that never ends."""
    await request(reader)
    writer.write(b"HTTP/1.1 202 OK\r\nX-Endless: ")
    while True:
        writer.write(b"x" * MIB)
        await writer.drain()


async def flooding_info(agent: FailingAgent, reader: StreamReader, writer: StreamWriter) -> None:
    """Know no endpoint, and say so without end when asked for `/info`."""
    head = await reader.readuntil(b"\r\n\r\n")
    if head.startswith(b"GET /info"):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"[" * 1000)
            await writer.drain()
            await asyncio.sleep(0.001)
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length or 0))
    writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()
