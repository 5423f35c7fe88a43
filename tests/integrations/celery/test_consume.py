"""Celery: the pathway of a task, in a worker and where it is called."""

from __future__ import annotations

from threading import Event
from typing import Any

import pytest
from celery import signals
from celery.contrib.testing.worker import start_worker

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.integration.registry import pathway_of
from asyncdsm.testing import Captured
from tests.integrations.kombu.clients import fresh

pytestmark = pytest.mark.usefixtures("tidy_kombu")


def test_eager_task_continues_the_callers_pathway(app: Any, captured_streams: Captured) -> None:
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


@pytest.mark.parametrize("headers", [None, {"tenant": "x"}])
def test_task_headers_are_those_of_the_sender(
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
        """A worker does not set up logging if this signal has a receiver."""

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
