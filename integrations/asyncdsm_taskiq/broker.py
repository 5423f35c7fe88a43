"""Hooks on a broker: what it really sends is counted, and the client that it stands on counts nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, NamedTuple

from taskiq import TaskiqMessage

from asyncdsm.core import checkpoint, current
from asyncdsm.core.checkpoint import PendingProduce, report_hook_error
from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import HEADER
from asyncdsm.integration.hooks import Hooks

DEFAULT_QUEUE = "taskiq"

_hooks = Hooks()


class Sending(NamedTuple):
    """A task that has its context among its labels, and that the broker was not given yet."""

    task_id: str
    pending: PendingProduce


sending: ContextVar[Sending | None] = ContextVar("asyncdsm_taskiq_sending", default=None)


def put_hooks(broker: Any) -> None:
    """Put the hooks on one broker, once."""
    _hooks.put(broker, "kick", kick)
    _hooks.put(broker, "listen", listen)


def kick(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AsyncBroker.kick`, which sends a task that `pre_send` has seen, or one that was taken from a queue."""

    async def kick(self: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
        pending = None
        try:
            pending, message = _addressed(self, message)
        except Exception as error:
            report_hook_error(error)
        with current.suppress_nested_checkpoints():
            result = await original(self, message, *args, **kwargs)
        if pending is not None:
            checkpoint.finish_produce(pending[1])
        return result

    return kick


def listen(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AsyncBroker.listen`, which yields what the client below receives."""

    def listen(self: Any, *args: Any, **kwargs: Any) -> Any:
        messages = original(self, *args, **kwargs)
        return _below(messages) if hasattr(messages, "__anext__") else messages

    return listen


async def _below(messages: Any) -> AsyncIterator[Any]:
    """Yield what an iterator yields; meanwhile, and in the tasks that it starts, no client counts what it receives."""
    layer = current.open_layer()
    try:
        while True:
            with current.restored(layer):
                try:
                    message = await anext(messages)
                except StopAsyncIteration:
                    return
            yield message
    finally:
        current.close_layer(layer)
        if hasattr(messages, "aclose"):
            await messages.aclose()


def _addressed(broker: Any, message: Any) -> tuple[PendingProduce | None, Any]:
    """Return the checkpoint of a task, and the message to send.

    `Context.requeue` and a program's own middleware hand over what they took from a queue: without `pre_send`, and with
    the context of the time before. Those get one of their own.
    """
    prepared = sending.get()
    sending.set(None)
    if prepared is not None and prepared.task_id == message.task_id:
        return prepared.pending, message
    if checkpoint.ensure_recorder() is None:
        return None, message
    pending = checkpoint.begin_produce(edge("out", queue_of(broker, message)))
    if pending is None:
        return None, message
    try:
        return pending, _relabelled(broker, message, pending[0].decode())
    except Exception:  # bytes that this broker's formatter does not read, but perhaps the receiver's
        checkpoint.record_not_propagated()
        return pending, message


def _relabelled(broker: Any, message: Any, header: str) -> Any:
    """Return a copy of a serialized task that has the context among its labels."""
    task = broker.formatter.loads(message=message.message)
    serialized = broker.formatter.dumps(with_context(task, header)).message
    return message.model_copy(update={"message": serialized, "labels": {**message.labels, HEADER: header}})


def with_context(task: TaskiqMessage, header: str) -> TaskiqMessage:
    """Return a copy of a task that has the context among its labels.

    Without the type of a label that the program gave this name: taskiq would read the context as a number.
    """
    types = {name: kind for name, kind in (task.labels_types or {}).items() if name != HEADER}
    labels = {**task.labels, HEADER: header}
    return task.model_copy(update={"labels": labels, "labels_types": task.labels_types and types})


def queue_of(broker: Any, message: Any) -> str:
    """Return the queue of a task: the one that it is labelled for, else the broker's."""
    labelled = message.labels.get("queue_name")
    queues = getattr(broker, "_task_queues", None)  # taskiq-aio-pika's, which has several
    named = labelled or getattr(broker, "queue_name", None) or (getattr(queues[0], "name", None) if queues else None)
    return str(named or DEFAULT_QUEUE)


@lru_cache(4096)
def edge(direction: str, queue: str) -> Edge:
    """Return the edge of sending to a queue or of taking from it."""
    return Edge(f"direction:{direction}", f"topic:{queue}", "type:taskiq")
