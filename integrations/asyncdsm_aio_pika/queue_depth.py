"""How many messages wait in a queue. RabbitMQ says so in its answers to `declare` and `get`; nothing else is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from asyncdsm._internal.bounds import make_room
from asyncdsm.integration import Lag, MalformedValueError, add_lag_source, after_await, ensure_recorder, guarded
from asyncdsm.integration.formats.amqp import RABBITMQ

_MAX_QUEUES = 1000  # of one channel; beyond, the queue whose depth is oldest is forgotten


class QueueDepths:
    """The last known depth of each queue, by channel: a source of lag."""

    def __init__(self) -> None:
        self._channels: WeakKeyDictionary[Any, dict[str, Lag]] = WeakKeyDictionary()

    def store(self, queue: Any, messages: int, now_ns: int) -> None:
        """Store how many messages wait in a queue."""
        queues = self._channels.setdefault(queue.channel, {})
        queues.pop(queue.name, None)
        make_room(queues, _MAX_QUEUES)
        queues[queue.name] = Lag(None, queue.name, None, messages, "ready", seen_ns=now_ns, type=RABBITMQ)

    def lags(self) -> Iterator[Lag]:
        """Return the depths of the queues of open channels."""
        for reference in self._channels.keyrefs():  # a list made at once: other threads open channels meanwhile
            channel = reference()
            if channel is not None and not channel.is_closed:
                yield from list(self._channels.get(channel, {}).values())


_depths = QueueDepths()
add_lag_source(_depths)


@guarded
def note_depth(queue: Any, messages: Any) -> None:
    """Store the depth of a queue, unless it is None or nothing measures."""
    recorder = ensure_recorder()
    if recorder is None or messages is None:
        return
    if type(messages) is int and messages >= 0:
        _depths.store(queue, messages, recorder.now())
    else:
        recorder.report_malformed(MalformedValueError(f"a queue's depth must be a number, got {messages!r:.40}"))


@after_await
def hook_declare(answer: Any, queue: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `Queue.declare`, which `declare_queue` and the restoring of a robust channel call."""
    note_depth(queue, getattr(answer, "message_count", None))
