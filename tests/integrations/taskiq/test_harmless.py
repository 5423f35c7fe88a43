"""Tasks that fail and settings that are wrong: the program continues as without asyncdsm."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import pytest
from asyncdsm_taskiq import DataStreamsMiddleware
from taskiq import (
    InMemoryBroker,
)

import asyncdsm
from asyncdsm import Pathway
from asyncdsm._internal import log
from asyncdsm.core import current
from asyncdsm.testing import Captured


async def test_failing_task_restores_the_previous_pathway(captured_streams: Captured) -> None:
    broker = InMemoryBroker(await_inplace=True).with_middlewares(DataStreamsMiddleware())

    @broker.task
    async def task() -> None:
        raise ZeroDivisionError

    came = Pathway(5, 1, 1)
    current.set_current(came)
    await task.kiq()
    assert asyncdsm.current_pathway() == came


async def test_wrong_setting_is_logged_and_the_broker_runs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DD_AGENT_HOST", "http://agent:8126")
    monkeypatch.delenv("DD_TRACE_AGENT_URL", raising=False)
    log.forget_warnings()
    broker = InMemoryBroker(await_inplace=True).with_middlewares(DataStreamsMiddleware())

    @broker.task
    async def answer() -> int:
        return 42

    await broker.startup()
    assert (await (await answer.kiq()).wait_result()).return_value == 42
    await broker.shutdown()
    (said,) = [record for record in caplog.records if record.name == "asyncdsm"]
    assert said.levelname == "ERROR"
    assert "DD_AGENT_HOST must be a host name or an IP address" in said.getMessage()
    assert "got 'http://agent:8126'" in said.getMessage()
