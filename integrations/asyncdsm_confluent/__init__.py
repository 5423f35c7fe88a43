"""confluent-kafka: `asyncdsm.wrap(client)`, `asyncdsm.wrap(Consumer)`, or `asyncdsm.instrument("confluent_kafka")`.

Its clients are classes in C, whose methods cannot be replaced. So `subclasses` makes subclasses with hooks, and lets a
class or an object become one; `proxy` replaces an object of one of C's classes, which cannot; `class_swap` puts
subclasses in the place of C's classes everywhere. `classes` lists the classes and their hooks.

`client` is what is known of one client. `produce` and `delivery_reports` follow what is sent and what the broker
answers; `consume`, `offsets` and `lag` what is received, committed and still to be read; `schemas` the schemas of
messages; `aio` the asyncio clients.
"""

from __future__ import annotations

from typing import Any

from confluent_kafka import cimpl

from asyncdsm.integration import Integration, Pathway
from asyncdsm_confluent import consume, subclasses
from asyncdsm_confluent.aio import asyncio_classes
from asyncdsm_confluent.class_swap import restore_class, swap_class
from asyncdsm_confluent.classes import c_classes, put_hook_set
from asyncdsm_confluent.client import forget_instrumented
from asyncdsm_confluent.schemas import forget_serializers, watch_serializers

__all__ = ["ConfluentKafka", "integration"]


class ConfluentKafka(Integration):
    """Follows producers and consumers, the asyncio ones included, and classes of them."""

    package: str = "confluent_kafka"
    versions: tuple[str, str] = ("2.3", "2.16")
    wraps: str = "a client of confluent_kafka or confluent_kafka.aio, or the class of one"

    def is_client(self, client: object) -> bool:
        """Say whether an object is a client, or the class of one."""
        return subclasses.is_client_class(client if isinstance(client, type) else client.__class__)

    def follow(self, client: Any) -> Any:
        """Return what to use in the place of a client or of a class of clients.

        For an object of one of C's own classes that is a proxy; any other object is returned itself. Commits that
        nobody waits for are reported only to `on_commit`, which a consumer gets when it is made: to see them, wrap the
        class.
        """
        watch_serializers()
        return subclasses.follow_client(client)

    def hook_classes(self) -> None:
        """Follow every client made from now on, even by modules that have imported its class already."""
        watch_serializers()
        for own, hooks in c_classes().items():
            put_hook_set(self.hooks, swap_class(own), hooks)
        for own, hooks in asyncio_classes().items():
            put_hook_set(self.hooks, own, hooks)

    def unhook_classes(self) -> None:
        """Put C's classes back in their places, and stop following clients that were not wrapped."""
        forget_instrumented()
        forget_serializers()
        for own in c_classes():
            restore_class(own)

    def pathway_of(self, message: Any) -> Pathway | None:
        """Return the pathway of a consumed message; None for anything else."""
        return consume.find_message_pathway(message)

    def installed_version(self) -> str:
        """Return the version of confluent-kafka: a string since 2.12, before that the first part of a tuple."""
        version: Any = cimpl.version()
        return version if isinstance(version, str) else str(version[0])


integration: ConfluentKafka = ConfluentKafka()
