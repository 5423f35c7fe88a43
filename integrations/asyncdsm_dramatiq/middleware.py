"""The middleware, in programs that send and in workers."""

from __future__ import annotations

from multiprocessing import parent_process
from typing import Any

from dramatiq import Message, Middleware

from asyncdsm import DataStreams
from asyncdsm.integration import Hooks, close_before_exit, guarded, is_hook, report_hook_error, start_standby
from asyncdsm_dramatiq.consume import begin_processing, begin_reading, end_processing, end_reading
from asyncdsm_dramatiq.produce import count_unprepared, hook_emit, hook_encode, hook_enqueue

_hooks = Hooks()  # on single brokers, never removed


@guarded
def follow_broker(broker: Any) -> None:
    """Put the hooks on one broker: a middleware alone could not hide the context from other middlewares."""
    _hooks.put(Message, "encode", hook_encode)
    _hooks.put(broker, "enqueue", hook_enqueue)
    for name in ("emit_before", "emit_after"):
        _hooks.put(broker, name, hook_emit)


@guarded
def count_and_follow(broker: Any, message: Any) -> None:
    """Count a message that a broker has sent before it was followed, and follow the broker."""
    if not is_hook(vars(broker).get("enqueue")):
        count_unprepared(message)
        follow_broker(broker)


class DataStreamsMiddleware(Middleware):
    """Follows messages from where they are enqueued to where they are processed, with their queue as topic.

    Measures while a worker runs; a program that only sends needs a DataStreams, or `asyncdsm run`. If the client below
    the broker is followed too, each message counts once.
    """

    def __init__(self) -> None:
        self._streams: DataStreams | None = None

    def before_declare_queue(self, broker: Any, queue_name: str) -> None:
        """Follow the broker: that of the actors of this queue."""
        del queue_name
        follow_broker(broker)

    def before_declare_actor(self, broker: Any, actor: Any) -> None:
        """Follow the broker."""
        del actor
        follow_broker(broker)

    def after_declare_actor(self, broker: Any, actor: Any) -> None:
        """Follow the broker, to which this middleware was added when it had actors already."""
        del actor
        follow_broker(broker)

    def after_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
        """Count a message that was sent before anything was declared: only then is the broker not followed yet."""
        del delay
        count_and_follow(broker, message)

    def before_process_message(self, broker: Any, message: Any) -> None:
        """Record that a message was taken from its queue, and make its pathway current for the actor."""
        del broker
        begin_processing(message)

    def after_skip_message(self, broker: Any, message: Any) -> None:
        """Record it for a message that another middleware has skipped before `before_process_message` came here."""
        del broker
        begin_processing(message)

    def before_ack(self, broker: Any, message: Any) -> None:
        """Let no pathway be current any more. The other middlewares have sent what follows from the message by now."""
        del broker
        end_processing(message)

    def before_nack(self, broker: Any, message: Any) -> None:
        """Do the same for a message that failed."""
        del broker
        end_processing(message)

    def after_consumer_thread_boot(self, broker: Any, thread: Any) -> None:
        """Keep the client below from counting what it reads."""
        del broker
        begin_reading(thread)

    def before_consumer_thread_shutdown(self, broker: Any, thread: Any) -> None:
        """Undo it."""
        del broker
        end_reading(thread)

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        """Start to measure. A wrong setting is logged as an error, and then nothing is measured."""
        del worker
        follow_broker(broker)
        try:
            self._streams = start_standby()
        except Exception as error:
            report_hook_error(error)

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:
        """Deliver what was recorded. The processes of dramatiq's command end now, and run no exit hooks."""
        del broker, worker
        if parent_process() is not None:
            close_before_exit()
        elif self._streams is not None:
            self._streams.close()
