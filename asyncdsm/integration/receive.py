"""Calling an async client for its next messages: what was current ends, and what the client returns is recorded."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")
# Until then, `wait_for` awaits in another task: what is cleared there stays current for its caller.
_WAITS_APART = sys.version_info < (3, 12)


def receive_async(
    ask: Callable[[], Awaitable[Answer]], clear: Callable[[], object], record: Callable[[Answer], Answer]
) -> Coroutine[Any, Any, Answer]:
    """Return a coroutine that awaits `ask()`, and returns what `record` makes of the client's answer. **Hot**.

    Whoever asks for the next message has finished the last one: `clear` is called before, and lets no pathway be
    current. Neither it nor `record` may raise. A task that is cancelled before it runs calls nothing.
    Python's warning of a coroutine that nobody awaits names the function of `ask`, if that is a `partial`.
    """

    async def receive() -> Answer:
        clear()
        return record(await ask())

    if _WAITS_APART:
        clear()
    receiving = receive()
    receiving.__qualname__ = getattr(getattr(ask, "func", ask), "__qualname__", "receive")  # type: ignore[attr-defined]
    return receiving
