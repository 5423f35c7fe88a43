"""taskiq: `broker.with_middlewares(DataStreamsMiddleware())`, or `asyncdsm.wrap(broker)`.

A task carries its context among its labels.
"""

from __future__ import annotations

from typing import Any

from taskiq import AsyncBroker, TaskiqMessage

from asyncdsm.integration import Integration, Pathway, after
from asyncdsm_taskiq.consume import pathway_of_task
from asyncdsm_taskiq.middleware import DataStreamsMiddleware

__all__ = ["DataStreamsMiddleware", "TaskiqIntegration", "integration"]


class TaskiqIntegration(Integration):
    """Adds the middleware to brokers. A broker that has it keeps it after `uninstrument`."""

    package: str = "taskiq"
    versions: tuple[str, str] = "0.12", "0.13"
    wraps: str = "a broker"

    def is_client(self, client: object) -> bool:
        return isinstance(client, AsyncBroker)

    def follow(self, client: Any) -> Any:
        if not any(isinstance(middleware, DataStreamsMiddleware) for middleware in client.middlewares):
            client.add_middlewares(DataStreamsMiddleware())
        return client

    def hook_classes(self) -> None:
        self.hooks.put(AsyncBroker, "__init__", observe_init)

    def pathway_of(self, message: Any) -> Pathway | None:
        return pathway_of_task(message) if isinstance(message, TaskiqMessage) else None


integration: TaskiqIntegration = TaskiqIntegration()


@after
def observe_init(_result: None, broker: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `AsyncBroker.__init__`: each new broker gets the middleware."""
    integration.follow(broker)
