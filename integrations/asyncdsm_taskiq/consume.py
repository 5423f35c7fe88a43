"""Taking tasks from a queue and executing them. The client below the broker counts nothing meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

from taskiq import TaskiqMessage

from asyncdsm.integration import (
    HEADER,
    Pathway,
    Snapshot,
    close_layer,
    consume,
    count_deliveries,
    guarded,
    open_layer,
    peek_consume,
    restored,
    set_current,
    snapshot,
)
from asyncdsm.integration.formats.transactions import TASKIQ_CONSUME, extract_from_pairs
from asyncdsm_taskiq.client import DEFAULT_QUEUE, find_queue, in_edges, is_retry, read_label


class _Execution(NamedTuple):
    """A task that is being executed."""

    delivery: tuple[str, Any]
    before: Snapshot
    """What was current before the task."""
    around: _Execution | None
    """A broker in memory may execute a task within the one that sends it."""


_execution: ContextVar[_Execution | None] = ContextVar("asyncdsm_taskiq_execution", default=None)


@guarded
def begin_execution(broker: Any, message: TaskiqMessage) -> None:
    """Record that a task was taken from its queue, and make its pathway current. Does nothing the second time."""
    execution, delivery = _execution.get(), _identify_delivery(message)
    if execution is None or execution.delivery != delivery:
        _execution.set(_Execution(delivery, snapshot(), execution))
        edge = in_edges[find_queue(broker, message)]
        if consume(edge, read_label(message)) is not None:
            count_deliveries(edge, redelivered=is_retry(message))
            if TASKIQ_CONSUME:
                extract_from_pairs(TASKIQ_CONSUME, message.labels.items())


@guarded
def end_execution(message: TaskiqMessage) -> None:
    """Restore what was current before the task."""
    execution = _execution.get()
    if execution is not None and execution.delivery == _identify_delivery(message):
        _execution.set(execution.around)
        set_current(execution.before)


def pathway_of_task(message: TaskiqMessage) -> Pathway | None:
    """Return the pathway of a task, from its labels. They do not tell which queue of the broker it came from."""
    return peek_consume(in_edges[DEFAULT_QUEUE], read_label(message))


def hook_listen(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AsyncBroker.listen`, which yields what the client below receives."""

    def listen(*args: Any, **kwargs: Any) -> Any:
        messages = original(*args, **kwargs)
        return _suppress_client(messages) if hasattr(messages, "__anext__") else messages

    return listen


async def _suppress_client(messages: Any) -> AsyncIterator[Any]:
    """Yield what an iterator yields. Meanwhile, and in the tasks that it starts, no client counts what it receives."""
    layer = open_layer()
    try:
        while True:
            with restored(layer):
                try:
                    message = await anext(messages)
                except StopAsyncIteration:
                    return
            yield message
    finally:
        close_layer(layer)
        if hasattr(messages, "aclose"):
            await messages.aclose()


def _identify_delivery(message: TaskiqMessage) -> tuple[str, Any]:
    """Return what distinguishes one delivery of a task from the next. A copy by another middleware has the same."""
    return message.task_id, message.labels.get(HEADER)
