"""The middleware, at the side that sends a task and at the side that executes it."""

from __future__ import annotations

from contextvars import ContextVar
from functools import lru_cache
from typing import Any, NamedTuple

from taskiq import AsyncBroker, TaskiqMessage, TaskiqMiddleware, TaskiqResult

from asyncdsm import DataStreams, checkpoint
from asyncdsm.checkpoint import Departure
from asyncdsm.edge import Edge
from asyncdsm.hooks import Hooks, hook_failed
from asyncdsm.lifetime import finish, stand_by_in_loop
from asyncdsm.pathway import HEADER, Context, Pathway

DEFAULT_QUEUE = "taskiq"

_hooks = Hooks()


class _Sending(NamedTuple):
    task_id: str
    departure: Departure


class _Executing(NamedTuple):
    message: TaskiqMessage
    before: Context | None
    around: _Executing | None
    """A broker in memory may execute a task within the one that sends it."""


_sending: ContextVar[_Sending | None] = ContextVar("asyncdsm_taskiq_sending", default=None)
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
        """Take the broker, to count what it has sent, and to keep that from being counted again further down."""
        super().set_broker(broker)
        _hooks.put(broker, "kick", _kick)

    async def startup(self) -> None:
        """Measure from here on. A wrong setting is logged as an error, and then nothing is measured."""
        self._streams = await stand_by_in_loop()

    async def shutdown(self) -> None:
        """Deliver what was recorded."""
        if self._streams is not None:
            await finish(self._streams)

    def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        """Put the context among the labels."""
        sending = _sending.get()
        if sending is not None and sending.task_id == message.task_id:
            return message  # by another one of us
        try:
            departure = checkpoint.prepare(_edge("out", _queue_of(self.broker, message)))
            if departure is not None:
                _sending.set(_Sending(message.task_id, departure))
                return message.model_copy(update={"labels": {**message.labels, HEADER: departure.header}})
        except Exception as error:
            hook_failed(error)
        return message

    def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        """Record that a task was taken from its queue, and make its pathway current for the task."""
        executing = _executing.get()
        if executing is not None and executing.message is message:
            return message
        try:
            _executing.set(_Executing(message, checkpoint.standing(), _executing.get()))
            checkpoint.consume(_edge("in", _queue_of(self.broker, message)), _context_in(message))
        except Exception as error:
            hook_failed(error)
        return message

    def post_execute(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:
        """Go on as before the task."""
        del result
        executing = _executing.get()
        if executing is not None and executing.message is message:
            _executing.set(executing.around)
            checkpoint.set_current(executing.before)


def pathway_in(message: TaskiqMessage, queue: str) -> Pathway | None:
    """Return the pathway of a task, from its labels."""
    return checkpoint.next_pathway(_edge("in", queue), _context_in(message))


def _kick(original: Any) -> Any:
    async def kick(self: Any, message: Any) -> None:
        sending = _sending.get()
        _sending.set(None)
        with checkpoint.counted_above():
            await original(self, message)
        if sending is not None and sending.task_id == message.task_id:
            checkpoint.depart(sending.departure)

    return kick


def _queue_of(broker: Any, message: TaskiqMessage) -> str:
    """Return the queue: the one that the task is labelled for, else the broker's."""
    labelled = message.labels.get("queue_name")
    queues = getattr(broker, "_task_queues", None)  # taskiq-aio-pika's, which has several
    named = labelled or getattr(broker, "queue_name", None) or (getattr(queues[0], "name", None) if queues else None)
    return str(named or DEFAULT_QUEUE)


def _context_in(message: TaskiqMessage) -> str | None:
    header = message.labels.get(HEADER)
    return header if isinstance(header, str) else None


@lru_cache(4096)
def _edge(direction: str, queue: str) -> Edge:
    return Edge(f"direction:{direction}", f"topic:{queue}", "type:taskiq")
