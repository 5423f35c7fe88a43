"""Following clients, and with them the pipelines and further clients that they make."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from inspect import unwrap
from typing import Any

from asyncdsm.integration import Hooks, after, is_async
from asyncdsm_redis.calls import hook_execute, hook_execute_async
from asyncdsm_redis.pipelines import follow_pipeline

_hooks = Hooks()  # on single clients, never removed


def find_classes(package: str, name: str) -> Iterator[tuple[type, type]]:
    """Yield the classes of clients of a package with those of their pipelines: of one server, and of a cluster."""
    for part in ("", "asyncio."):
        module, cluster = import_module(f"{package}.{part}client"), import_module(f"{package}.{part}cluster")
        yield getattr(module, name), module.Pipeline
        yield getattr(cluster, f"{name}Cluster"), cluster.ClusterPipeline


def hook_client(hooks: Hooks, owner: Any) -> None:
    """Put hooks on a client or on a class of clients."""
    kind: Any = owner if isinstance(owner, type) else type(owner)
    hooks.put(owner, "execute_command", hook_execute_async if is_async(unwrap(kind.execute_command)) else hook_execute)


def follow_client(client: Any) -> None:
    """Follow one client, and the pipelines that it makes from now on."""
    hook_client(_hooks, client)
    _hooks.put(client, "pipeline", observe_pipeline)
    if hasattr(type(client), "client"):
        _hooks.put(client, "client", observe_client)


@after
def observe_pipeline(pipeline: Any, _client: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `pipeline` of a client that is followed for itself."""
    follow_pipeline(pipeline)


@after
def observe_client(made: Any, _client: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `client` of a client that is followed for itself: it makes one with a connection of its own."""
    follow_client(made)
