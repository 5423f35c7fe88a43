"""What a program leaves behind: threads, file descriptors, child processes, tasks of an event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

PATIENCE_SECONDS = 30.0


class Belongings(NamedTuple):
    """What a process has at one moment, each under a name that tells what it is."""

    threads: frozenset[str]
    descriptors: frozenset[str]
    children: frozenset[str]

    def beyond(self, before: Belongings) -> list[str]:
        """Return what was not there before."""
        return sorted(name for now, then in zip(self, before, strict=True) for name in now - then)


def belongings() -> Belongings:
    """Return what this process has now."""
    return Belongings(
        frozenset(f"thread {thread.name} {thread.ident}" for thread in threading.enumerate()),
        frozenset(_descriptors()),
        frozenset(_children()),
    )


def left_over(before: Belongings, patience: float = PATIENCE_SECONDS) -> list[str]:
    """Return what is there beyond `before`, as soon as that is nothing, or when patience ends."""
    deadline = monotonic() + patience
    gc.collect()  # what warns of being left to the collector warns here
    while left := belongings().beyond(before):
        if monotonic() > deadline:
            return left
        gc.collect()
        sleep(0.05)
    return []


@asynccontextmanager
async def no_tasks_left_over() -> AsyncIterator[None]:
    """Fail when the block leaves a task behind in this event loop."""
    before = asyncio.all_tasks()
    yield
    for _ in range(round(PATIENCE_SECONDS / 0.05)):
        if asyncio.all_tasks() <= before:
            return
        await asyncio.sleep(0.05)
    left = asyncio.all_tasks() - before
    assert not left, f"left over: {left}"


@contextmanager
def nothing_left_over() -> Iterator[None]:
    """Fail when the block leaves a thread, a file descriptor or a child process behind."""
    before = belongings()
    yield
    left = left_over(before)
    assert not left, f"left over: {left}"


def _descriptors() -> Iterator[str]:
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the one of this very listing
            yield f"descriptor {number} {os.readlink(f'/proc/self/fd/{number}')}"


def _children() -> Iterator[str]:
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread that has ended meanwhile
            yield from (f"child {number}" for number in path.read_text().split())
