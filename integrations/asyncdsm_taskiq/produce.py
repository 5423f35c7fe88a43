"""Sending tasks: the context among the labels, and a checkpoint when the broker has taken the task."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

from taskiq import TaskiqMessage

from asyncdsm.integration import (
    HEADER,
    PendingProduce,
    begin_produce,
    ensure_recorder,
    finish_produce,
    guarded,
    record_not_propagated,
    suppress_nested_checkpoints,
)
from asyncdsm.integration.formats.transactions import TASKIQ_PRODUCE, extract_from_pairs
from asyncdsm_taskiq.client import find_queue, out_edges


class _PreparedTask(NamedTuple):
    """A task that has its context among its labels, and that the broker has not been given yet."""

    task_id: str
    pending: PendingProduce


_prepared: ContextVar[_PreparedTask | None] = ContextVar("asyncdsm_taskiq_prepared", default=None)


@guarded
def prepare_task(broker: Any, message: TaskiqMessage) -> TaskiqMessage | None:
    """Return a copy of a task with its context. None while nothing measures, and for a task that has it already."""
    prepared = _prepared.get()
    if prepared is not None and prepared.task_id == message.task_id:
        return None  # another DataStreamsMiddleware of this broker did it
    pending = begin_produce(out_edges[find_queue(broker, message)])
    if pending is None:
        return None
    _prepared.set(_PreparedTask(message.task_id, pending))
    return _add_context(message, pending.header.decode())


def hook_kick(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AsyncBroker.kick`, which sends a task that `pre_send` has seen, or one that was taken from a queue."""

    async def kick(broker: Any, /, message: Any, *args: Any, **kwargs: Any) -> Any:
        pending, message = _begin_kick(broker, message) or (None, message)
        with suppress_nested_checkpoints():
            result = await original(broker, message, *args, **kwargs)
        if pending is not None:
            finish_produce(pending)
            if TASKIQ_PRODUCE:
                extract_from_pairs(TASKIQ_PRODUCE, message.labels.items())
        return result

    return kick


@guarded
def _begin_kick(broker: Any, message: Any) -> tuple[PendingProduce, Any] | None:
    """Return the checkpoint of a task, and the message to send.

    `Context.requeue` and a program's own middleware send what they took from a queue: without `pre_send`, and with the
    context of the time before. Such a task gets a new one here.
    """
    prepared = _prepared.get()
    _prepared.set(None)
    if prepared is not None and prepared.task_id == message.task_id:
        return prepared.pending, message
    if ensure_recorder() is None:
        return None
    pending = begin_produce(out_edges[find_queue(broker, message)])
    if pending is None:
        return None
    try:
        return pending, _replace_context(broker, message, pending.header.decode())
    except Exception:  # bytes that this broker's formatter cannot read, but perhaps the receiver's
        record_not_propagated()
        return pending, message


def _replace_context(broker: Any, message: Any, header: str) -> Any:
    """Return a copy of a serialized task that has the context among its labels."""
    task = broker.formatter.loads(message=message.message)
    serialized = broker.formatter.dumps(_add_context(task, header)).message
    return message.model_copy(update={"message": serialized, "labels": {**message.labels, HEADER: header}})


def _add_context(task: TaskiqMessage, header: str) -> TaskiqMessage:
    """Return a copy of a task that has the context among its labels.

    The program may have given a label of this name a type: it is removed, or taskiq would read the context as a number.
    """
    types = {name: kind for name, kind in (task.labels_types or {}).items() if name != HEADER}
    labels = {**task.labels, HEADER: header}
    return task.model_copy(update={"labels": labels, "labels_types": task.labels_types and types})
