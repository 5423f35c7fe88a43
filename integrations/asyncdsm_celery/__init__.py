"""Celery, which stands on Kombu: `asyncdsm.wrap` for an app, or `asyncdsm.instrument("celery")`.

Kombu's hooks count what is published and consumed; `tasks` makes the pathway current where a task runs. Translation
only.
"""

from __future__ import annotations

from typing import Any

# Celery first, which imports Kombu: `asyncdsm run` instruments that as soon as it is there, not in the middle of ours.
import celery
from celery import Celery

# isort: split
import asyncdsm_kombu

from asyncdsm.integration.base import check_version
from asyncdsm.integration.hooks import Hooks
from asyncdsm_celery import tasks
from asyncdsm_celery.tasks import pathway_of

__all__ = ["VERSIONS", "WRAPS", "instrument", "pathway_of", "uninstrument", "wrap"]

VERSIONS = ("5.2", "5.7")
WRAPS = "an app"

_hooks = Hooks()


def wrap(client: Any) -> Any | None:
    """Follow the messages and tasks of one app; None for anything else.

    The connections that it makes from here on are followed.
    """
    if not issubclass(type(client), Celery):
        return client if isinstance(client, Celery) else None  # a mock of one stays as it is
    check_version("celery", celery.__version__, VERSIONS)
    asyncdsm_kombu.put_hooks()
    tasks.listen()
    tasks.follow(client, _hooks)
    return client


def instrument() -> None:
    """Follow the messages of every app and of all else that uses Kombu, and the tasks."""
    check_version("celery", celery.__version__, VERSIONS)
    asyncdsm_kombu.instrument()
    tasks.listen()


def uninstrument() -> None:
    """Follow only what was wrapped."""
    asyncdsm_kombu.uninstrument()
    if not tasks.followed_one_by_one():
        tasks.listen_no_more()
