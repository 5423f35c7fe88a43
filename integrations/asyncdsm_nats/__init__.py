"""nats-py: `asyncdsm.wrap` for a connection or a JetStream context, or `asyncdsm.instrument("nats")`."""

from __future__ import annotations

from typing import Any

from nats.aio.client import Client, __version__
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from asyncdsm.integration import Integration, Pathway
from asyncdsm_nats.client import follow_connection, follow_jetstream, hook_all
from asyncdsm_nats.consume import class_hooks, pathway_of_message

__all__ = ["Nats", "integration"]


class Nats(Integration):
    """Follows connections. Subscriptions that were made before stay as they are."""

    package: str = "nats"
    versions: tuple[str, str] = ("2.9", "2.16")
    wraps: str = "a connection or a JetStream context"

    def is_client(self, client: object) -> bool:
        return isinstance(client, Client | JetStreamContext)

    def follow(self, client: Any) -> Any:
        """Follow a connection and the JetStream contexts that it makes; or one context, and its connection."""
        if isinstance(client, JetStreamContext):
            follow_jetstream(client)
            follow_connection(client._nc)
        else:
            follow_connection(client)
        return client

    def hook_classes(self) -> None:
        hook_all(self.hooks)

    def pathway_of(self, message: Any) -> Pathway | None:
        return pathway_of_message(message) if isinstance(message, Msg) else None

    def installed_version(self) -> str:
        return __version__


integration: Nats = Nats(class_hooks)
