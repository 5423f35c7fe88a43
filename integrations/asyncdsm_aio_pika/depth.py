"""How many messages wait in a queue: RabbitMQ's backlog, as the answers to `declare` and `get` tell it anyway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from asyncdsm.core import checkpoint, lag
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.errors import MalformedValueError
from asyncdsm.integration.hooks import after_await

MOST_QUEUES = 1000
"""Of one channel; beyond, the one declared or asked longest ago is forgotten."""


class Depths:
    """The depth of each queue as its channel heard it last."""

    def __init__(self) -> None:
        self._channels: WeakKeyDictionary[Any, dict[str, lag.Lag]] = WeakKeyDictionary()

    def note(self, queue: Any, messages: int, now_ns: int) -> None:
        """Take what the broker said."""
        queues = self._channels.setdefault(queue.channel, {})
        queues.pop(queue.name, None)
        queues[queue.name] = lag.Lag(None, queue.name, None, messages, "ready", seen_ns=now_ns)
        if len(queues) > MOST_QUEUES:
            del queues[next(iter(queues))]

    def lags(self) -> Iterator[lag.Lag]:
        """Return the depths that open channels know."""
        for reference in self._channels.keyrefs():  # a list made at once: other threads open channels meanwhile
            channel = reference()
            if channel is not None and not channel.is_closed:
                yield from list(self._channels.get(channel, {}).values())


_depths = Depths()
lag.add_lag_source(_depths)


def note(queue: Any, messages: Any) -> None:
    """Note the depth of a queue, if the broker said it and something measures."""
    try:
        aggregator = checkpoint.ensure_recorder()
        if aggregator is None or messages is None:
            return
        if type(messages) is int and messages >= 0:
            _depths.note(queue, messages, aggregator.now())
        else:
            aggregator.report_malformed(MalformedValueError(f"a queue's depth must be a number, got {messages!r:.40}"))
    except Exception as error:
        report_hook_error(error)


@after_await
def declare(answer: Any, queue: Any, *_args: Any, **_more: Any) -> None:
    """Observe `Queue.declare`, which `declare_queue` and a robust channel's restoring call."""
    note(queue, getattr(answer, "message_count", None))
