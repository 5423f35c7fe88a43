"""A server that is killed and started again while a load runs, and what must be counted then."""

from __future__ import annotations

import asyncio
from collections.abc import Sized
from typing import Protocol

from asyncdsm.core.counters import Stats
from tests.intake import Intake, counted


class Server(Protocol):
    """A server of a test's own. Both methods block until it is done."""

    def kill(self) -> None: ...

    def start(self) -> None: ...


class Load(Protocol):
    """Sends messages, and receives until each was seen."""

    @property
    def seen(self) -> Sized: ...

    async def run(self) -> None: ...


async def run_over_kills(load: Load, server: Server, *, messages: int, kills: int) -> None:
    """Run a load of `messages` messages; after equal parts of them, kill and start the server, `kills` times."""
    running = asyncio.create_task(load.run())
    for kill in range(1, kills + 1):
        while len(load.seen) < messages * kill / (kills + 1) and not running.done():
            await asyncio.sleep(0.01)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    await running


def check_counted_once(intake: Intake, stats: Stats, *, sent: int, received: int) -> None:
    """Check that the intake got each message that the client sent and received once, and that nothing was dropped."""
    assert counted(intake.payloads, "direction:out") == sent
    assert counted(intake.payloads, "direction:in") == received
    assert (stats.errors, stats.dropped, stats.pending) == (0, 0, 0)
    assert stats.recorded == stats.delivered == sent + received
