"""aio-pika: `asyncdsm.wrap` for a connection, channel, exchange or queue, or `asyncdsm.instrument("aio_pika")`."""

from __future__ import annotations

from typing import Any

from aio_pika import Exchange, IncomingMessage, Queue, RobustQueue
from aio_pika.queue import QueueIterator
from aio_pika.robust_queue import RobustQueueIterator

from asyncdsm.integration import Integration, Pathway
from asyncdsm.integration.formats.amqp import read_pathway
from asyncdsm_aio_pika.client import HOOKS, find_hooks, follow_object
from asyncdsm_aio_pika.consume import class_hooks, find_pathway

__all__ = ["AioPika", "integration"]


class AioPika(Integration):
    """Follows aio-pika's objects. Callbacks that consume already stay as they are."""

    package: str = "aio_pika"
    versions: tuple[str, str] = ("9.0", "10.2")
    wraps: str = "a connection, channel, exchange, queue or queue iterator"

    def is_client(self, client: object) -> bool:
        return isinstance(client, tuple(HOOKS))

    def follow(self, client: Any) -> Any:
        """Follow one object: the channels that a connection makes from now on, the exchanges and queues of a channel.

        Those that a channel has already are followed, too.
        """
        follow_object(client)
        return client

    def hook_classes(self) -> None:
        for cls in (Exchange, Queue, RobustQueue, QueueIterator, RobustQueueIterator):
            for name, hook in (find_hooks(cls) or {}).items():
                if name in vars(cls):
                    self.hooks.put(cls, name, hook)

    def pathway_of(self, message: Any) -> Pathway | None:
        if not isinstance(message, IncomingMessage):
            return None
        return find_pathway(message) or read_pathway(message.headers, message.timestamp)


integration: AioPika = AioPika(class_hooks)
