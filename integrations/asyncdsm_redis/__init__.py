"""redis-py and valkey-py, Streams: `asyncdsm.wrap` for a client, or `asyncdsm.instrument("redis")`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from asyncdsm.integration import Integration, Pathway
from asyncdsm_redis.client import find_classes, follow_client, hook_client
from asyncdsm_redis.consume import pathway_of_entry
from asyncdsm_redis.pipelines import follow_pipeline, hook_pipeline_class

__all__ = ["Redis", "Valkey", "integration", "valkey_integration"]


class Redis(Integration):
    """Follows the clients of redis-py, for asyncio and those that block, also for a cluster, and their pipelines."""

    package: str = "redis"
    versions: tuple[str, str] = ("5.0", "8.1")
    wraps: str = "a client or a pipeline"
    client_name: str = "Redis"
    """The name of the class of clients; that of a cluster's has `Cluster` at its end."""

    def is_client(self, client: object) -> bool:
        classes = find_classes(self.package, self.client_name)
        return isinstance(client, tuple(cls for pair in classes for cls in pair))

    def follow(self, client: Any) -> Any:
        """Follow a client and the pipelines that it makes, or one pipeline."""
        if isinstance(client, tuple(pipeline for _, pipeline in find_classes(self.package, self.client_name))):
            follow_pipeline(client)
        else:
            follow_client(client)
        return client

    def hook_classes(self) -> None:
        for client, pipeline in find_classes(self.package, self.client_name):
            hook_client(self.hooks, client)
            hook_pipeline_class(self.hooks, pipeline)

    def pathway_of(self, message: Any) -> Pathway | None:
        """Return the pathway of an entry: a pair of its id and its fields."""
        return pathway_of_entry(message) if isinstance(message, tuple | list) and len(message) > 1 else None

    def installed_version(self) -> str:
        return str(import_module(self.package).__version__)


class Valkey(Redis):
    """Follows the clients of valkey-py, as `Redis` does those of redis-py."""

    package: str = "valkey"
    versions: tuple[str, str] = ("6.0", "6.2")
    client_name: str = "Valkey"


integration: Redis = Redis()
valkey_integration: Valkey = Valkey()
