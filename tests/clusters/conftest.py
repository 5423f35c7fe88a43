"""Fixtures of these tests: those of Kafka's clients, on asyncio."""

from __future__ import annotations

from tests.integrations.conftest import anyio_backend
from tests.integrations.kafka.conftest import clients, way

__all__ = ["anyio_backend", "clients", "way"]
