"""The middleware: one instance for each message that a subscriber takes, another for each direct publish."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from faststream import BaseMiddleware
from faststream.message import SourceType

from asyncdsm.core import checkpoint, current
from asyncdsm.core.checkpoint import PendingProduce, report_hook_error
from asyncdsm.core.pathway import HEADER, Context
from asyncdsm_faststream import received, sent

_serving: ContextVar[Any] = ContextVar("asyncdsm_faststream_serving", default=None)
"""The subscriber whose handler runs. What the handler itself receives, a reply or by `get_one`, is not its message."""
_taken: ContextVar[Any] = ContextVar("asyncdsm_faststream_taken", default=None)
"""The message that another DataStreamsMiddleware of the same broker has recorded already."""


class DataStreamsMiddleware(BaseMiddleware[Any, Any]):
    """Follows the messages of a Kafka, Confluent or Rabbit broker: subscribers and publishers, batches and replies.

    In a handler, its message's pathway is the current one. Of a batch of several, none is. After `get_one` and in
    `async for message in subscriber`, that of the message they returned is. Where the client below is followed too,
    each message counts once.
    """

    _before: Context | None = None
    _subscriber: Any = None
    _around: Any = None

    async def on_receive(self, *_args: Any, **_more: Any) -> None:
        """Record what a subscriber with handlers takes; what is set here, the reply's publisher sees too."""
        try:
            subscriber, serving = self.context.get_local("handler_"), _serving.get()
            if subscriber is not None and subscriber is not serving:
                self._subscriber, self._around = subscriber, serving
                self._before = current.snapshot()
                _serving.set(subscriber)
                self._take(None)
        except Exception as error:
            report_hook_error(error)

    async def consume_scope(self, call_next: Callable[..., Awaitable[Any]], msg: Any, *args: Any, **more: Any) -> Any:
        """Record what `get_one` and iteration return; the reply to a request is no message of the map."""
        taken = _taken.get()
        try:
            if self._subscriber is None and msg is not taken and msg.source_type is not SourceType.RESPONSE:
                self._take(getattr(msg, "consumer", None))
        except Exception as error:
            report_hook_error(error)
        _taken.set(msg)
        try:
            return await call_next(msg, *args, **more)
        finally:
            _taken.set(taken)

    async def after_processed(
        self, exc_type: Any = None, exc_val: Any = None, exc_tb: Any = None, *_args: Any, **_more: Any
    ) -> bool:
        """Leave nothing current for the next message: one task may take them all."""
        if self._subscriber is not None:
            _serving.set(self._around)
            current.set_current(self._before)
        return False

    async def publish_scope(self, call_next: Callable[..., Awaitable[Any]], cmd: Any, *args: Any, **more: Any) -> Any:
        """Put the context on a message, or on every message of a batch, and count what was sent."""
        pending, count = None, 1
        try:
            pending, count = _addressed(cmd, call_next)
        except Exception as error:
            report_hook_error(error)
        if pending is None:
            return await call_next(cmd, *args, **more)
        with current.suppress_nested_checkpoints():
            result = await call_next(cmd, *args, **more)
        for _ in range(count):
            checkpoint.finish_produce(pending[1])
        return result

    def _take(self, consumer: Any) -> None:
        """Record each message, and make the pathway current where there is one only."""
        messages = self.msg if isinstance(self.msg, (list, tuple)) else [self.msg]
        pathways = [_pathway_of(message, self._subscriber, consumer) for message in messages]
        current.set_current(pathways[0] if len(pathways) == 1 else None)


def _pathway_of(message: Any, subscriber: Any, consumer: Any) -> Context | None:
    try:
        return received.take(message, subscriber, consumer)
    except Exception as error:  # the others of a batch are recorded all the same
        report_hook_error(error)
        return None


def _addressed(command: Any, call_next: Any) -> tuple[PendingProduce | None, int]:
    """Return the checkpoint of a publish, and how many messages it stands for; the context goes into its headers."""
    edge = sent.edge_of(command, call_next)
    pending = None if edge is None else checkpoint.begin_produce(edge)
    if pending is not None:
        command.headers = {**(command.headers or {}), HEADER: pending[0].decode()}
    return pending, len(command.batch_bodies)
