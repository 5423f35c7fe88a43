"""dramatiq: `asyncdsm.wrap(broker)`, or `broker.add_middleware(DataStreamsMiddleware())`.

A message carries its context among its options. `client` is what is known of messages, `produce` follows those that are
enqueued, `consume` those that are processed, `middleware` connects both to a broker.
"""

from __future__ import annotations

from typing import Any

import dramatiq
from dramatiq import Broker, Message, MessageProxy

from asyncdsm.integration import Integration, Pathway, after
from asyncdsm_dramatiq.consume import pathway_of_message
from asyncdsm_dramatiq.middleware import DataStreamsMiddleware, follow_broker

__all__ = ["DataStreamsMiddleware", "Dramatiq", "integration"]


class Dramatiq(Integration):
    """Adds the middleware to brokers. A broker that has it keeps it after `uninstrument`."""

    package: str = "dramatiq"
    versions: tuple[str, str] = "2.2", "2.2"
    wraps: str = "a broker"

    def is_client(self, client: object) -> bool:
        return isinstance(client, Broker)

    def follow(self, client: Any) -> Any:
        """Put the middleware before all others, which may send messages while one is processed."""
        if not any(isinstance(middleware, DataStreamsMiddleware) for middleware in client.middleware):
            first = {"before": type(client.middleware[0])} if client.middleware else {}
            client.add_middleware(DataStreamsMiddleware(), **first)
        follow_broker(client)
        return client

    def hook_classes(self) -> None:
        """Follow the brokers that are made from now on, and the one that dramatiq uses by default."""
        self.hooks.put(Broker, "__init__", observe_init)
        if dramatiq.broker.global_broker is not None:
            self.follow(dramatiq.broker.global_broker)

    def pathway_of(self, message: Any) -> Pathway | None:
        return pathway_of_message(message) if isinstance(message, (Message, MessageProxy)) else None


integration: Dramatiq = Dramatiq()


@after
def observe_init(_result: None, broker: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `Broker.__init__`: each new broker gets the middleware."""
    integration.follow(broker)
