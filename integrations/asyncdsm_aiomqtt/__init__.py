"""aiomqtt: `asyncdsm.wrap` for a client, or `asyncdsm.instrument("aiomqtt")`."""

from __future__ import annotations

from typing import Any

from aiomqtt import Client, Message

from asyncdsm.integration import Hooks, Integration, Pathway
from asyncdsm_aiomqtt.client import hook_all
from asyncdsm_aiomqtt.connection import class_hooks, wrap_connection
from asyncdsm_aiomqtt.consume import find_publication_pathway

__all__ = ["AioMqtt", "integration"]


class AioMqtt(Integration):
    """Follows clients. The hooks are on aiomqtt's own classes, and do nothing for a client that is not followed.

    `client.messages` makes an iterator at each access, so the client itself has no place for a hook.
    """

    package: str = "aiomqtt"
    versions: tuple[str, str] = ("2.3", "2.5")
    wraps: str = "a client"

    def __init__(self) -> None:
        super().__init__(class_hooks)
        self._of_wrapped: Hooks = Hooks()
        self._has_wrapped: bool = False

    def is_client(self, client: object) -> bool:
        return isinstance(client, Client)

    def follow(self, client: Any) -> Any:
        self._has_wrapped = True
        hook_all(self._of_wrapped)
        wrap_connection(client)
        return client

    def hook_classes(self) -> None:
        hook_all(self.hooks)

    def unhook_classes(self) -> None:
        if self._has_wrapped:
            hook_all(self._of_wrapped)

    def pathway_of(self, message: Any) -> Pathway | None:
        return find_publication_pathway(message) if isinstance(message, Message) else None


integration: AioMqtt = AioMqtt()
