"""Where payloads go: the interface of an exporter, and the exporters of asyncdsm."""

from __future__ import annotations

from typing import Protocol


class Exporter(Protocol):
    """Delivers payloads to a receiver, such as an Agent."""

    async def export(self, payload: bytes) -> None:
        """Deliver one gzipped payload of protocol §6. Raises DeliveryError if it was not delivered.

        Which subclass is raised decides whether the payload is sent again: see `asyncdsm.errors`.
        """

    async def aclose(self) -> None:
        """Close all connections. Called once, in the event loop that called `export`."""
