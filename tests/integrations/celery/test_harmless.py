"""Celery: an error of asyncdsm does not reach the program."""

from __future__ import annotations

from typing import Any

import pytest
from asyncdsm_celery import tasks
from celery import signals

import asyncdsm
from asyncdsm import DataStreams, Settings
from asyncdsm.delivery.exporters.memory import MemoryExporter
from tests.integrations.kombu.clients import fresh

pytestmark = pytest.mark.usefixtures("tidy_kombu")


def test_error_in_a_hook_does_not_reach_the_program(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(*_: object) -> None:
        raise RuntimeError("planted")

    def work() -> str:
        return "done"

    asyncdsm.wrap(app)
    with DataStreams(Settings(service="s"), exporter=MemoryExporter()) as streams:
        for name in ("follow_connection", "_is_delivered", "find_pathway"):
            monkeypatch.setattr(tasks, name, planted)
        app.send_task("task", queue=fresh())
        assert app.task(work).apply().get() == "done"
        signals.task_received.send(sender=None, request=object())
        assert streams.stats.errors >= 4  # one at a connection, two around a task, one at its receipt
