"""The middleware: one instance for each message that a subscriber takes, another for each direct publish."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from faststream import BaseMiddleware
from faststream.message import SourceType

from asyncdsm import checkpoint
from asyncdsm.checkpoint import Departure
from asyncdsm.hooks import hook_failed
from asyncdsm.pathway import HEADER, Context
from asyncdsm_faststream import received, sent

_serving: ContextVar[Any] = ContextVar("asyncdsm_faststream_serving", default=None)
"""The subscriber whose handler runs. What the handler itself receives, a reply or by `get_one`, is not its message."""


class DataStreamsMiddleware(BaseMiddleware[Any, Any]):
    """Follows the messages of a Kafka, Confluent or Rabbit broker: subscribers and publishers, batches and replies.

    In a handler, its message's pathway is the current one. Of a batch of several, none is. Behind `get_one` and in
    `async for message in subscriber`, that of the message they returned is. Where the client below is followed too,
    each message counts once.
    """

    _before: Context | None = None
    _subscriber: Any = None
    _around: Any = None
    _pathway: Context | None = None

    async def on_receive(self) -> None:
        """Record what a subscriber with handlers takes; what is set here, the reply's publisher sees too."""
        subscriber, serving = self.context.get_local("handler_"), _serving.get()
        if subscriber is not None and subscriber is not serving:
            self._subscriber, self._around = subscriber, serving
            self._before = checkpoint.standing()
            _serving.set(subscriber)
            self._arrived()

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
        """Record what `get_one` and iteration return; a reply to a request of ours is no message of the map."""
        if hasattr(msg, "_asyncdsm_pathway"):  # by another DataStreamsMiddleware of this broker
            return await call_next(msg)
        if self._subscriber is None and msg.source_type is not SourceType.RESPONSE:
            self._arrived()
        with suppress(AttributeError):  # a message class of the user's own may have slots
            msg._asyncdsm_pathway = self._pathway
        return await call_next(msg)

    async def after_processed(self, exc_type: Any = None, exc_val: Any = None, exc_tb: Any = None) -> bool:
        """Leave nothing behind for the next message: one task may take them all."""
        if self._subscriber is not None:
            _serving.set(self._around)
            checkpoint.set_current(self._before)
        return False

    async def publish_scope(self, call_next: Callable[[Any], Awaitable[Any]], cmd: Any) -> Any:
        """Put the context on a message, or on every message of a batch, and count what was sent."""
        departure, count = None, 1
        try:
            departure, count = _addressed(cmd)
        except Exception as error:
            hook_failed(error)
        if departure is None:
            return await call_next(cmd)
        with checkpoint.counted_above():
            result = await call_next(cmd)
        for _ in range(count):
            checkpoint.depart(departure)
        return result

    def _arrived(self) -> None:
        try:
            messages = self.msg if isinstance(self.msg, (list, tuple)) else [self.msg]
            pathways = [_consumed(message, self._subscriber) for message in messages]
            self._pathway = pathways[0] if len(pathways) == 1 else None
            checkpoint.set_current(self._pathway)
        except Exception as error:
            checkpoint.set_current(None)
            hook_failed(error)


def _consumed(message: Any, subscriber: Any) -> Context | None:
    counted = received.counted_below(message)
    if counted is not None:
        return counted
    found = received.read(message, subscriber)
    return None if found is None else checkpoint.arrived(*found)


def _addressed(command: Any) -> tuple[Departure | None, int]:
    """Return the checkpoint of a publish, and how many messages it stands for; the context goes into its headers."""
    edge = sent.edge_of(command)
    departure = None if edge is None else checkpoint.prepare(edge)
    if departure is not None:
        command.headers = {**(command.headers or {}), HEADER: departure.header}
    return departure, len(command.batch_bodies)
