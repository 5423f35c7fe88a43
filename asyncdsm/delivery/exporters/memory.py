"""An exporter that keeps what it is given, for tests and for looking at."""

from __future__ import annotations

import gzip

from asyncdsm.delivery.payload import Payload, unpack


class MemoryExporter:
    """Keeps every payload, as bytes and decoded."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    @property
    def payloads(self) -> list[Payload]:
        """What was delivered, oldest first."""
        return [unpack(gzip.decompress(body)) for body in self.bodies]

    async def export(self, payload: bytes) -> None:
        """Keep a payload."""
        self.bodies.append(payload)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to let go of."""
