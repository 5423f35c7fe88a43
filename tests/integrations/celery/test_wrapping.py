"""Celery: `wrap` follows one app, `instrument` all of them until `uninstrument`."""

from __future__ import annotations

from typing import Any

import asyncdsm_celery
import pytest
from asyncdsm_celery import tasks
from celery import Celery, signals

import asyncdsm
from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.integrations.kombu.clients import fresh, tidy

pytestmark = pytest.mark.usefixtures("tidy_kombu")

LISTENED = (signals.task_received, signals.task_prerun, signals.task_postrun, signals.worker_process_shutdown)


def listening() -> list[bool]:
    return [any(key[0] == tasks.__name__ for key, _ in signal.receivers or []) for signal in LISTENED]


def test_wrapped_app_is_followed_and_others_are_not(app: Any, captured_streams: Captured) -> None:
    other: Any = Celery(fresh(), broker="memory://other", set_as_current=False)
    assert asyncdsm.wrap(app) is app
    assert asyncdsm.wrap(app) is app
    assert all(listening())
    queue = fresh()
    app.send_task("task", queue=queue, headers={"a": "b"})
    other.send_task("task", queue=fresh())
    assert [made.topic for made in captured_streams.checkpoints] == [queue]
    with app.connection_for_read() as connection, connection.SimpleQueue(queue) as simple:
        message = simple.get(timeout=10)
        message.ack()
    assert message.headers["task"] == "task"
    assert message.headers["a"] == "b"
    assert HEADER in message.headers
    assert [taken.topic for taken in captured_streams.consumed()] == [queue]
    current.set_current(None)
    other.close()


def test_instrument_follows_every_app_until_uninstrument(captured_streams: Captured) -> None:
    asyncdsm.instrument("celery")
    assert all(listening())
    with Celery(fresh(), broker="memory://", set_as_current=False) as app:
        app.send_task("task", queue=fresh())
    assert len(captured_streams.produced()) == 1
    tidy()  # the signals stay connected while a wrapped app is alive
    asyncdsm.uninstrument("celery")
    assert any(listening()) == tasks.is_any_app_wrapped()


def test_object_of_no_celery_class_is_unknown() -> None:
    assert asyncdsm_celery.integration.wrap(object()) is None
    assert asyncdsm_celery.integration.pathway_of(object()) is None
