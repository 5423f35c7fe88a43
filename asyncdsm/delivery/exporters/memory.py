"""An exporter that keeps payloads in memory, for tests."""

from __future__ import annotations

import gzip

from asyncdsm.delivery.payload import Payload, unpack


class MemoryExporter:
    """Keeps every payload, in `bodies` as gzipped bytes, in `payloads` decoded."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    @property
    def payloads(self) -> list[Payload]:
        """The decoded payloads, oldest first."""
        return [unpack(gzip.decompress(body)) for body in self.bodies]

    async def export(self, payload: bytes) -> None:
        """Keep a payload."""
        self.bodies.append(payload)

    async def aclose(self) -> None:
        """Do nothing: there is no connection to close."""
