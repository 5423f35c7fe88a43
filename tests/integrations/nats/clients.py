"""Shared by the tests of nats-py."""

from __future__ import annotations

from collections.abc import Callable

from nats.aio.client import Client

Name = Callable[[], str]


async def flush(client: Client) -> None:
    """Return when the server has taken what was sent. `Client.flush` sends its ping ahead of what waits to be sent."""
    await client.flush()
    await client.flush()
