"""The middleware, at the side that sends a task and at the side that executes it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, NamedTuple

from taskiq import AsyncBroker, TaskiqMessage, TaskiqMiddleware, TaskiqResult

from asyncdsm import DataStreams
from asyncdsm.core import checkpoint, current
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.pathway import HEADER, Context
from asyncdsm.integration.lifetime import close_standby, start_standby_async
from asyncdsm_taskiq.broker import Sending, edge, put_hooks, queue_of, sending, with_context


class _Executing(NamedTuple):
    delivery: tuple[str, Any]
    before: Context | None
    around: _Executing | None
    """A broker in memory may execute a task within the one that sends it."""


_executing: ContextVar[_Executing | None] = ContextVar("asyncdsm_taskiq_executing", default=None)


class DataStreamsMiddleware(TaskiqMiddleware):
    """Follows tasks from where they are sent to where they are executed, with the broker's queue as topic.

    Measures while the broker runs: in workers and in programs that send. Where the client below the broker is
    followed too, a task that is sent counts once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._streams: DataStreams | None = None

    def set_broker(self, broker: AsyncBroker) -> None:
        """Take the broker, to count what it has sent, and to keep the client below from counting it again."""
        super().set_broker(broker)
        put_hooks(broker)

    async def startup(self) -> None:
        """Measure from here on. A wrong setting is logged as an error, and then nothing is measured."""
        self._streams = await start_standby_async()

    async def shutdown(self) -> None:
        """Deliver what was recorded."""
        if self._streams is not None:
            await close_standby(self._streams)

    def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        """Put the context among the labels."""
        prepared = sending.get()
        if prepared is not None and prepared.task_id == message.task_id:
            return message  # another DataStreamsMiddleware of this broker did it
        try:
            pending = checkpoint.begin_produce(edge("out", queue_of(self.broker, message)))
            if pending is not None:
                sending.set(Sending(message.task_id, pending))
                return with_context(message, pending[0].decode())
        except Exception as error:
            report_hook_error(error)
        return message

    def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        """Record that a task was taken from its queue, and make its pathway current for the task."""
        try:
            executing, delivery = _executing.get(), _delivery_of(message)
            if executing is not None and executing.delivery == delivery:
                return message
            _executing.set(_Executing(delivery, current.snapshot(), executing))
            checkpoint.consume(edge("in", queue_of(self.broker, message)), _context_in(message))
        except Exception as error:
            report_hook_error(error)
        return message

    def post_execute(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:
        """Go on as before the task."""
        del result
        executing = _executing.get()
        if executing is not None and executing.delivery == _delivery_of(message):
            _executing.set(executing.around)
            current.set_current(executing.before)


def pathway_in(message: TaskiqMessage, queue: str) -> Context | None:
    """Return the pathway of a task, from its labels."""
    return checkpoint.peek_consume(edge("in", queue), _context_in(message))


def _delivery_of(message: TaskiqMessage) -> tuple[str, Any]:
    """Return what tells one delivery of a task from the next, also for a copy that another middleware made of it."""
    return message.task_id, message.labels.get(HEADER)


def _context_in(message: TaskiqMessage) -> str | None:
    header = message.labels.get(HEADER)
    return header if isinstance(header, str) else None
