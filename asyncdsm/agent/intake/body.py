"""The bodies of requests: reading and decompressing them within limits."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator

from asyncdsm.agent.intake.errors import IntakeError

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_HELD_BYTES = 256 * 1024 * 1024
"""The limit for all bodies together that are being read or wait to be stored."""
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
"""10,000 points of asyncdsm take 15 MB."""
MAX_GZIP_MEMBERS = 1_000
_CHUNK_BYTES = 64 * 1024


async def read_body(parts: AsyncIterator[bytes]) -> bytes:
    """Return the body of a request. Raises IntakeError (413) as soon as it is larger than `MAX_BODY_BYTES`."""
    body = bytearray()
    async for part in parts:
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise IntakeError("body", f"must have at most {MAX_BODY_BYTES} bytes", 413)
    return bytes(body)


class BodyMemory:
    """Bounds the memory of all bodies that are being read or wait to be stored. For one event loop."""

    def __init__(self) -> None:
        self.held: int = 0

    async def read(self, parts: AsyncIterator[bytes]) -> bytes:
        """Return a body, which counts until `release`. Raises IntakeError: 413, or 503 if too many bodies are held."""
        before = 0

        async def count() -> AsyncIterator[bytes]:
            nonlocal before
            async for part in parts:
                before += len(part)
                self.held += len(part)
                if self.held > MAX_HELD_BYTES:
                    raise IntakeError("body", f"{MAX_HELD_BYTES} bytes of payloads wait already; send it again", 503)
                yield part

        try:
            return await read_body(count())
        except BaseException:
            self.held -= before
            raise

    def release(self, body: bytes) -> None:
        """Stop counting a body that `read` returned."""
        self.held -= len(body)


def decompress_body(body: bytes, encoding: str) -> bytes:
    """Return a body without its Content-Encoding. Raises IntakeError: 400, 413 if it is too large, or 415."""
    if encoding in {"", "identity"}:
        return body
    if encoding != "gzip":
        raise IntakeError("Content-Encoding", f"must be gzip or absent, got {encoding[:40]!r}", 415)
    return b"".join(_unpack_members(memoryview(body)))  # a single part is not copied


def _unpack_members(packed: memoryview) -> Iterator[bytes]:
    """Yield the content of gzip members, one after the other (RFC 1952 §2.2), in parts. Raises IntakeError."""
    members, left = 0, MAX_UNPACKED_BYTES
    while packed:
        members += 1
        if members > MAX_GZIP_MEMBERS:
            raise IntakeError("body", f"must have at most {MAX_GZIP_MEMBERS} gzip members", 413)
        unpacker = zlib.decompressobj(wbits=31)
        while not unpacker.eof:
            if not packed:
                raise IntakeError("body", "must be complete, got gzip that ends too early")
            # `unused_data` is a copy: without chunks, copying what follows each member would take quadratic time.
            chunk = packed[:_CHUNK_BYTES]
            try:
                part = unpacker.decompress(chunk, left + 1)
            except zlib.error as error:
                raise IntakeError("body", f"must be gzip, as its Content-Encoding says: {error}") from None
            left -= len(part)
            if left < 0:
                raise IntakeError("body", f"must unpack to at most {MAX_UNPACKED_BYTES} bytes", 413)
            packed = packed[len(chunk) - len(unpacker.unused_data) :]
            yield part
