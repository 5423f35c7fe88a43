"""The middleware: one instance for each message that a subscriber receives, another for each direct publish."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from faststream import BaseMiddleware
from faststream.message import SourceType

from asyncdsm.integration import Snapshot, guarded, set_current, snapshot
from asyncdsm_faststream.consume import consume_client_message, split_messages
from asyncdsm_faststream.limits import publishing
from asyncdsm_faststream.produce import begin_publish, finish_publish, is_too_large
from asyncdsm_faststream.redis_messages import forget_contexts, take_contexts
from asyncdsm_faststream.redis_reads import above_reads, current_reader

_active_subscriber: ContextVar[Any] = ContextVar("asyncdsm_faststream_subscriber", default=None)
# The subscriber whose handler runs. What the handler itself receives, as a reply or by `get_one`, is not its message.
_recorded_message: ContextVar[Any] = ContextVar("asyncdsm_faststream_message", default=None)
# The message that another DataStreamsMiddleware of the same broker has recorded already.


class DataStreamsMiddleware(BaseMiddleware[Any, Any]):
    """Follows the messages of a broker, any of FastStream's six: subscribers and publishers, batches and replies.

    In a handler, the pathway of its message is the current one. For a batch of several messages, none is. After
    `get_one` and in `async for message in subscriber`, the pathway of the message that they returned is. If the client
    below is followed too, each message is counted once.
    """

    _before: Snapshot = None
    _subscriber: Any = None
    _around: Any = None

    async def on_receive(self, /, *_args: Any, **_more: Any) -> None:
        """Record what a subscriber with handlers receives. The pathway is current for the reply's publisher too."""
        _take_contexts_guarded(self.msg)
        self._begin_handling()

    async def consume_scope(
        self, /, call_next: Callable[..., Awaitable[Any]], msg: Any, *args: Any, **more: Any
    ) -> Any:
        """Record what `get_one` and iteration return. The reply to a request is not a message of the pipeline."""
        recorded = _recorded_message.get()
        self._record_fetched(msg, recorded)
        _recorded_message.set(msg)
        try:
            return await call_next(msg, *args, **more)
        finally:
            _recorded_message.set(recorded)

    async def after_processed(
        self, /, exc_type: Any = None, exc_val: Any = None, exc_tb: Any = None, *_args: Any, **_more: Any
    ) -> bool:
        """Restore the previous pathway before the next message: one task may handle them all."""
        _forget_contexts_guarded(self.msg)
        if self._subscriber is not None:
            _active_subscriber.set(self._around)
            set_current(self._before)
        return False

    async def publish_scope(
        self, /, call_next: Callable[..., Awaitable[Any]], cmd: Any, *args: Any, **more: Any
    ) -> Any:
        """Put the context on a message, or on every message of a batch, and count what was sent."""
        begun = begin_publish(cmd, call_next)
        if begun is None:
            return await call_next(cmd, *args, **more)
        with publishing(begun):
            try:
                result = await call_next(cmd, *args, **more)
            except Exception as error:
                if not is_too_large(begun, error):
                    raise
                begun.has_context = False
                result = await call_next(begun.bare_command, *args, **more)
        finish_publish(begun)
        return result

    @guarded
    def _begin_handling(self) -> None:
        subscriber, active = self.context.get_local("handler_"), _active_subscriber.get()
        if subscriber is not None and subscriber is not active:
            self._subscriber, self._around = subscriber, active
            self._before = snapshot()
            _active_subscriber.set(subscriber)
            self._record_messages(None)

    @guarded
    def _record_fetched(self, message: Any, recorded: Any) -> None:
        if self._subscriber is None and message is not recorded and message.source_type is not SourceType.RESPONSE:
            self._record_messages(getattr(message, "consumer", None))

    def _record_messages(self, consumer: Any) -> None:
        """Record each message, and make the pathway current if there is only one."""
        messages = split_messages(self.msg)
        subscriber = current_reader() if self._subscriber is None else self._subscriber
        with above_reads():
            pathways = [_consume_guarded(message, subscriber, consumer) for message in messages]
        set_current(pathways[0] if len(pathways) == 1 else None)


_take_contexts_guarded, _forget_contexts_guarded = guarded(take_contexts), guarded(forget_contexts)
_consume_guarded = guarded(consume_client_message)  # an error with one message of a batch does not affect the others
