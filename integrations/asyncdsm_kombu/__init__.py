"""Kombu: `asyncdsm.wrap` for a connection, or `asyncdsm.instrument("kombu")`. `asyncdsm_celery` uses it."""

from __future__ import annotations

from typing import Any

from kombu.connection import Connection, ConnectionPool
from kombu.entity import Queue
from kombu.message import Message
from kombu.messaging import Producer
from kombu.simple import SimpleBase

from asyncdsm.integration import Integration, Pathway
from asyncdsm.integration.formats.amqp import read_pathway
from asyncdsm_kombu import tracking, transports
from asyncdsm_kombu.consume import find_pathway, hook_consume, hook_get
from asyncdsm_kombu.produce import hook_prepare, hook_publish

__all__ = ["Kombu", "integration"]


class Kombu(Integration):
    """Follows connections: of all of them, or of those that were wrapped. What consumes already stays as it is."""

    package: str = "kombu"
    versions: tuple[str, str] = ("5.2", "5.7")
    wraps: str = "a Connection"

    def is_client(self, client: object) -> bool:
        return isinstance(client, Connection)

    def follow(self, client: Any) -> Any:
        """Follow one connection with its clones and pools."""
        if issubclass(type(client), Connection):  # an object that only claims to be one stays as it is
            self.put_hooks()
            tracking.follow_connection(client)
        return client

    def hook_classes(self) -> None:
        self.put_hooks()
        tracking.follow_all(True)

    def uninstrument(self) -> None:
        """Follow only what was wrapped. If nothing was, restore Kombu's classes."""
        tracking.follow_all(False)
        if not tracking.is_any_wrapped():
            super().uninstrument()

    def unhook_classes(self) -> None:
        transports.remove_hooks()

    def put_hooks(self) -> None:
        """Put the hooks on Kombu's classes, where they do nothing for a connection that is not followed.

        They are not on objects, since mixins and pools make connections of their own.
        """
        self.check_version()
        self.hooks.put(Producer, "publish", hook_publish)
        self.hooks.put(Producer, "_prepare", hook_prepare)
        self.hooks.put(Queue, "consume", hook_consume)
        self.hooks.put(Queue, "get", hook_get)
        self.hooks.put(SimpleBase, "get", hook_get)
        self.hooks.put(Connection, "clone", tracking.hook_copy)
        self.hooks.put(ConnectionPool, "new", tracking.hook_copy)

    def pathway_of(self, message: Any) -> Pathway | None:
        if not isinstance(message, Message):
            return None
        return find_pathway(message) or read_pathway(message.headers, message.properties.get("timestamp"))


integration: Kombu = Kombu()
