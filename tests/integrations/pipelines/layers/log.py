"""What the programs note of each message, and what all of them send."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import time_ns
from typing import Any, NamedTuple
from uuid import uuid4

import asyncdsm
from asyncdsm import Pathway

COUNT = 3
PATIENCE_SECONDS = 30.0
SENDER = Pathway(7, time_ns(), time_ns())

Follow = Callable[[Any], Any]
"""`asyncdsm.wrap`, or what leaves the upper library's client as it is, since all are instrumented."""


class Seen(NamedTuple):
    """What was seen with one message."""

    current: Pathway | None
    context: str


class Log(list[Seen]):
    """What was seen so far."""

    def note(self, context: Any) -> None:
        """Note a message that brought this context."""
        self.append(Seen(asyncdsm.current_pathway(), context.decode() if isinstance(context, bytes) else context))

    async def wait(self) -> Log:
        """Wait for all messages."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self) < COUNT:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # for one too many
        return self


def name() -> str:
    """Return a name that no queue has."""
    return f"n{uuid4().hex[:10]}"
