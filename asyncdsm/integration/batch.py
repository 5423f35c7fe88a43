"""Several messages received at once: which of them becomes current, and the list that the program gets.

A single message becomes current at once, in the client's own list. Of several messages none is current until the
program takes one from the `ConsumedList` that it gets.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from threading import current_thread, main_thread
from typing import Any, TypeVar

from asyncdsm.core.current import set_current
from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import Pathway
from asyncdsm.integration.consumed_list import ConsumedList

Message = TypeVar("Message")
Key = TypeVar("Key")


def current_task() -> Any | None:
    """Return the running asyncio task, None outside of one."""
    asyncio = sys.modules.get("asyncio")
    try:
        return None if asyncio is None else asyncio.current_task()
    except RuntimeError:  # no event loop runs in this thread
        return None


def reaches_caller(asked_in: Any | None = None) -> bool:
    """Say whether a pathway that becomes current here is current for the program that called the client.

    `asked_in` is the task in which the client was called, if that is known. It is not the running task under
    `create_task`, `gather` and, before Python 3.12, `asyncio.wait_for`. A thread other than the main one may belong to
    a pool (`asyncio.to_thread`, `run_in_executor`): then the caller is in another thread, and this one outlives the
    call.
    """
    task = current_task()
    if task is not None:
        return asked_in is None or asked_in is task
    return current_thread() is main_thread()


def follow_batches(
    batches: Mapping[Key, list[Message]],
    pathways: Mapping[Key, list[Pathway | None]],
    asked_in: Any | None = None,
    edges: Mapping[Key, Sequence[Edge | None]] | None = None,
) -> dict[Key, list[Message]]:
    """Return the lists for the program, as `follow_batch` does, when the client returns several of them at once.

    `pathways` and `edges` have the keys of `batches`, such as partitions, and for each those of its messages.
    """
    if sum(map(len, batches.values())) == 1:
        return {key: follow_batch(messages, pathways[key], asked_in) for key, messages in batches.items() if messages}
    set_current(None)
    return {
        key: ConsumedList(messages, pathways[key], None if edges is None else edges[key])
        for key, messages in batches.items()
    }


def follow_batch(
    messages: list[Message],
    pathways: list[Pathway | None],
    asked_in: Any | None = None,
    edges: Sequence[Edge | None] | None = None,
) -> list[Message]:
    """Return the list for the program. Make the pathway of a single message current, and none for several messages.

    `pathways` are those of the messages, in the same order. So are `edges`, with which it is counted how long each
    message waits in the list until the program takes it. `asked_in` is the task in which the program called the client
    (`current_task`), if that is known: where another task runs now, as under `gather`, a pathway that becomes current
    would not be the caller's, and a single message comes in a `ConsumedList` too.
    """
    if len(messages) == 1 and reaches_caller(asked_in):
        set_current(pathways[0])
        return messages
    set_current(None)
    return ConsumedList(messages, pathways, edges) if messages else messages
