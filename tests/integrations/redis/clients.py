"""Shared by the tests of redis-py and valkey-py."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

Name = Callable[[], str]
FIELD = "dd-pathway-ctx-base64"


class Package(NamedTuple):
    """One of the packages, and a server for it."""

    name: str
    url: str

    def _find_class(self, part: str, end: str) -> Any:
        return getattr(import_module(self.name + part), self.name.capitalize() + end)

    def connect(self, **options: Any) -> Any:
        """Return a client for asyncio."""
        return self._find_class(".asyncio", "").from_url(self.url, **options)

    def connect_pooled(self) -> Any:
        """Return a client for asyncio whose commands wait for one of twenty connections."""
        module = import_module(f"{self.name}.asyncio")
        pool = module.BlockingConnectionPool.from_url(self.url, max_connections=20, timeout=60)
        return self._find_class(".asyncio", "")(connection_pool=pool)

    def connect_blocking(self, **options: Any) -> Any:
        """Return a client that blocks."""
        return self._find_class("", "").from_url(self.url, **options)

    def connect_cluster(self, url: str) -> Any:
        """Return a client of a cluster, for asyncio."""
        return self._find_class(".asyncio.cluster", "Cluster").from_url(url)

    def connect_cluster_blocking(self, url: str) -> Any:
        """Return a client of a cluster that blocks."""
        return self._find_class(".cluster", "Cluster").from_url(url)

    @property
    def classes(self) -> list[type]:
        """The classes of clients and pipelines, of one server."""
        modules = [import_module(f"{self.name}.client"), import_module(f"{self.name}.asyncio.client")]
        return [cls for module in modules for cls in (getattr(module, self.name.capitalize()), module.Pipeline)]


def entries_of(result: Any) -> list[Any]:
    """Return the entries of one stream, of any of the shapes that XREAD has."""
    if not result:
        return []
    if isinstance(result, dict):
        (value,) = result.values()
        is_nested = len(value) == 1 and isinstance(value[0], list) and not isinstance(value[0][0], str | bytes)
        return value[0] if is_nested else value  # type: ignore[no-any-return]
    ((_, entries),) = result
    return entries  # type: ignore[no-any-return]
