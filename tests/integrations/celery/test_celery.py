"""Celery without a worker: apps that are wrapped, tasks that run where they are called, signals."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Any

import asyncdsm_celery
import pytest
from asyncdsm_celery import tasks
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker

import asyncdsm
from asyncdsm import DataStreams, Pathway, Settings
from asyncdsm.core import current
from asyncdsm.core.pathway import HEADER
from asyncdsm.delivery.exporters.memory import MemoryExporter
from asyncdsm.integration.registry import pathway_of
from asyncdsm.testing import Captured
from tests.integrations.kombu.clients import fresh, tidy

pytestmark = pytest.mark.usefixtures("tidy_kombu")

LISTENED = (signals.task_received, signals.task_prerun, signals.task_postrun, signals.worker_process_shutdown)


def listening() -> list[bool]:
    return [any(key[0] == tasks.__name__ for key, _ in signal.receivers or []) for signal in LISTENED]


@pytest.fixture
def app() -> Iterator[Any]:
    with Celery(fresh(), broker="memory://", set_as_current=False) as app:
        yield app
    tidy()


def test_wrap_returns_the_app_and_follows_what_it_sends(app: Any, captured_streams: Captured) -> None:
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


def test_a_task_that_runs_where_it_is_called_goes_on_with_the_callers_pathway(
    app: Any, captured_streams: Captured
) -> None:
    asyncdsm.wrap(app)
    seen = list[Pathway | None]()

    def look() -> None:
        seen.append(asyncdsm.current_pathway())

    task = app.task(look)
    pathway = Pathway(1, 2, 3)
    with current.restored(pathway):
        task.apply()
        task()
        assert asyncdsm.current_pathway() == pathway
    assert seen == [pathway, pathway]
    assert captured_streams.checkpoints == []


def test_instrument_and_uninstrument(captured_streams: Captured) -> None:
    asyncdsm.instrument("celery")
    assert all(listening())
    with Celery(fresh(), broker="memory://", set_as_current=False) as app:
        app.send_task("task", queue=fresh())
    assert len(captured_streams.produced()) == 1
    tidy()  # apps that were wrapped one by one are told of their tasks for as long as they live
    asyncdsm.uninstrument("celery")
    assert any(listening()) == tasks.is_any_app_wrapped()


def test_an_error_of_ours_stays_ours(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
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
        assert streams.stats.errors >= 4  # of a connection, of a task's begin and end, of its receipt


@pytest.mark.parametrize("headers", [None, {"tenant": "x"}])
def test_a_tasks_headers_are_those_that_the_sender_gave(
    app: Any, headers: Any, captured_streams: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    name = fresh()
    app.conf.update(task_default_queue=name, worker_redirect_stdouts=False, worker_enable_remote_control=False)
    asyncdsm.wrap(app)
    seen, done = list[Any](), Event()

    @app.task(bind=True, shared=False, ignore_result=True, name=f"look {name}")  # type: ignore[untyped-decorator]
    def look(self: Any) -> None:
        seen.append((self.request.headers, asyncdsm.current_pathway(), pathway_of(self.request)))
        if not self.request.retries:
            self.retry(countdown=0)
        done.set()

    def leave_logging_alone(**_: Any) -> None:
        """A worker sets up no logging where somebody listens to this."""

    signals.setup_logging.connect(leave_logging_alone)
    worker: Any = start_worker(app, pool="solo", perform_ping_check=False)
    with worker:
        look.apply_async(headers=headers)
        assert done.wait(60)
    first, second = seen
    assert first[0] == second[0] == headers
    assert all(current is not None and current.hash == own.hash for _, current, own in seen)
    sent, received = captured_streams.produced(name), captured_streams.consumed(name)
    assert (len(sent), len(received)) == (2, 2)
    assert [received[0].follows(sent[0]), sent[1].follows(received[0]), received[1].follows(sent[1])] == [True] * 3


def test_what_is_not_celerys_is_not_ours() -> None:
    assert asyncdsm_celery.integration.wrap(object()) is None
    assert asyncdsm_celery.integration.pathway_of(object()) is None
