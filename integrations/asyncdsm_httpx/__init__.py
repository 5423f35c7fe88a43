"""httpx2 and httpx: after `asyncdsm.wrap(client)`, this client's requests carry their context. No other client does.

A request may go to somebody else's server, so `asyncdsm.instrument` and `asyncdsm run` leave every client alone.
"""

from __future__ import annotations

import sys
from typing import Any

from asyncdsm.integration import Integration
from asyncdsm_httpx.produce import hook_async_send, hook_sync_send, hook_transport_for_url

__all__ = ["HttpxIntegration", "integration", "integration_of_httpx2"]


class HttpxIntegration(Integration):
    """Follows the requests of single clients of httpx or httpx2, for asyncio and trio or synchronous."""

    versions = "0.27", "2.16"  # of httpx the first, of httpx2 the last
    wraps = "a Client or an AsyncClient"
    is_wrapped_only = True

    def __init__(self, package: str) -> None:
        """`package` is `httpx` or `httpx2`, which are the same library under two names."""
        super().__init__()
        self.package = package

    def is_client(self, client: object) -> bool:
        return isinstance(client, (self._class_named("AsyncClient"), self._class_named("Client")))

    def follow(self, client: Any) -> Any:
        is_async = isinstance(client, self._class_named("AsyncClient"))
        self.hooks.put(client, "send", hook_async_send if is_async else hook_sync_send)
        self.hooks.put(client, "_transport_for_url", hook_transport_for_url)
        return client

    def _class_named(self, name: str) -> Any:
        """Return a class of the package; one without instances while another thread is importing the package."""
        return getattr(sys.modules.get(self.package), name, _NotImported)


class _NotImported:
    """Takes the place of a class that is not there yet."""


integration = HttpxIntegration("httpx")
integration_of_httpx2 = HttpxIntegration("httpx2")
