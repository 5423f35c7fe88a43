"""The middleware, on the side that sends a task and on the side that executes it."""

from __future__ import annotations

from typing import Any

from taskiq import AsyncBroker, TaskiqMessage, TaskiqMiddleware, TaskiqResult

from asyncdsm import DataStreams
from asyncdsm.integration import Hooks, close_standby, report_hook_error, start_standby_async
from asyncdsm_taskiq.consume import begin_execution, end_execution, hook_listen
from asyncdsm_taskiq.produce import hook_kick, prepare_task

_hooks = Hooks()  # on single brokers, never removed


class DataStreamsMiddleware(TaskiqMiddleware):
    """Follows tasks from where they are sent to where they are executed, with the broker's queue as topic.

    Measures while the broker runs: in workers and in programs that send. If the client below the broker is followed
    too, a task that is sent is counted once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._streams: DataStreams | None = None

    def set_broker(self, broker: AsyncBroker) -> None:
        """Put hooks on the broker: they count what it has sent, and keep the client below from counting it again."""
        super().set_broker(broker)
        _hooks.put(broker, "kick", hook_kick)
        _hooks.put(broker, "listen", hook_listen)

    async def startup(self) -> None:
        """Start to measure. A wrong setting is logged as an error, and then nothing is measured."""
        try:
            self._streams = await start_standby_async()
        except Exception as error:
            report_hook_error(error)

    async def shutdown(self) -> None:
        """Deliver what was recorded."""
        await close_standby(self._streams)

    def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        """Put the context among the labels."""
        return prepare_task(self.broker, message) or message

    def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        """Record that a task was taken from its queue, and make its pathway current for the task."""
        begin_execution(self.broker, message)
        return message

    def post_execute(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:
        """Restore what was current before the task."""
        del result
        end_execution(message)
