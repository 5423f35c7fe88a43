"""Celery, which uses Kombu: `asyncdsm.wrap` for an app, or `asyncdsm.instrument("celery")`.

The hooks on Kombu count what is published and consumed. `tasks` makes the pathway current where a task runs.
"""

from __future__ import annotations

from typing import Any

# This class is imported first. It imports Kombu, which `asyncdsm run` instruments at once: that must not happen while
# `asyncdsm_kombu` is half imported.
from celery import Celery as App

# isort: split
import asyncdsm_kombu

from asyncdsm.integration import Integration, Pathway
from asyncdsm_celery import tasks

__all__ = ["Celery", "integration"]


class Celery(Integration):
    """Follows an app's messages and tasks, or those of every app and of everything else that uses Kombu."""

    package: str = "celery"
    versions: tuple[str, str] = ("5.2", "5.7")
    wraps: str = "an app"

    def is_client(self, client: object) -> bool:
        return isinstance(client, App)

    def follow(self, client: Any) -> Any:
        """Follow the tasks of one app, and the connections that it makes from now on."""
        if issubclass(type(client), App):  # an object that only claims to be one stays as it is
            asyncdsm_kombu.integration.put_hooks()
            tasks.connect_signals()
            tasks.follow_app(client, self.hooks)
        return client

    def hook_classes(self) -> None:
        asyncdsm_kombu.integration.instrument()
        tasks.connect_signals()

    def unhook_classes(self) -> None:
        """Follow only what was wrapped."""
        asyncdsm_kombu.integration.uninstrument()
        if not tasks.is_any_app_wrapped():
            tasks.disconnect_signals()

    def pathway_of(self, message: Any) -> Pathway | None:
        return tasks.read_request_pathway(message)


integration: Celery = Celery()
