"""What the attribution tests of several clients do with the messages of a pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Coroutine
from typing import Any, TypeVar

Message = TypeVar("Message")

PATIENCE_SECONDS = 60.0


async def handle_in_tasks(
    messages: AsyncIterable[Message], count: int, handle: Callable[[Message], Coroutine[Any, Any, None]]
) -> None:
    """Read `count` messages in this task, handle each in a task that starts while its pathway is current, and wait."""
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        seen = 0
        async for message in messages:
            tasks.create_task(handle(message))
            seen += 1
            if seen == count:
                break
