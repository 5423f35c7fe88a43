"""`asyncdsm doctor`: what it finds, in words and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from asyncdsm.cli.main import main
from asyncdsm.integration.registry import is_installed
from tests.brokers.process import free_port
from tests.intake import Intake, running_intake


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("DD_SERVICE", "DD_AGENT_HOST", "DD_TRACE_AGENT_PORT", "OTEL_SERVICE_NAME"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def intake(environ: pytest.MonkeyPatch) -> Iterator[Intake]:
    with running_intake(intake=Intake(endpoints=["/v0.1/pipeline_stats"])) as intake:
        environ.setenv("DD_TRACE_AGENT_URL", intake.url)
        yield intake


def found(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = main(["doctor", "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_report_lists_settings_with_sources_and_clients(
    intake: Intake, environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ.setenv("OTEL_SERVICE_NAME", "shop")
    environ.setenv("DD_ENV", "test")
    code, said = found(capsys)
    assert (code, said["well"]) == (0, True)
    assert said["settings"]["service"] == {"value": "shop", "from": "OTEL_SERVICE_NAME"}
    assert said["settings"]["env"] == {"value": "test", "from": "DD_ENV"}
    assert said["settings"]["version"] == {"value": None, "from": "default"}
    assert said["settings"]["agent_url"] == {"value": intake.url, "from": "DD_TRACE_AGENT_URL"}
    assert said["agent"] == {"answers": True, "lists_endpoint": True, "problem": None}
    clients = {client["name"]: client for client in said["clients"]}
    assert (clients["aiokafka"]["followed"], clients["httpx2"]["followed"]) == ("yes", "where wrapped")
    assert (clients["aiokafka"]["tested"], clients["aiokafka"]["problem"]) == (["0.10", "0.14"], None)


def test_report_as_text_has_a_line_for_each_finding(
    intake: Intake, environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ.setenv("DD_SERVICE", "shop")
    assert main(["doctor"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "service shop DD_SERVICE" in lines
    assert f"The agent at {intake.url} answers, and lists the Data Streams endpoint" in lines


def test_absent_agent_is_a_problem_and_exit_code_1(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = str(free_port())
    environ.delenv("DD_TRACE_AGENT_URL", raising=False)
    environ.setenv("DD_AGENT_HOST", "127.0.0.1")
    environ.setenv("DD_TRACE_AGENT_PORT", port)
    code, said = found(capsys)
    assert (code, said["agent"]["answers"]) == (1, False)
    assert "ConnectError" in said["agent"]["problem"]
    assert said["settings"]["agent_url"]["from"] == "DD_AGENT_HOST, DD_TRACE_AGENT_PORT"


def test_wrong_setting_is_a_problem_and_exit_code_1(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ.setenv("DD_DATA_STREAMS_ENABLED", "maybe")
    code, said = found(capsys)
    assert (code, said["well"]) == (1, False)
    assert "DD_DATA_STREAMS_ENABLED must be true or false, got 'maybe'" in said["problem"]
    assert main(["doctor"]) == 1
    assert "Nothing is measured: DD_DATA_STREAMS_ENABLED" in capsys.readouterr().out


def test_disabled_asyncdsm_asks_no_agent(environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    environ.setenv("DD_DATA_STREAMS_ENABLED", "false")
    code, said = found(capsys)
    assert (code, said["agent"]) == (0, None)
    assert main(["doctor"]) == 0
    assert "no message is touched" in capsys.readouterr().out


def test_report_shows_no_password(environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    environ.setenv("DD_TRACE_AGENT_URL", f"http://me:secret@127.0.0.1:{free_port()}")
    main(["doctor"])
    main(["doctor", "--json"])
    assert "secret" not in capsys.readouterr().out


def test_module_without_a_file_counts_as_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "odd", ModuleType("odd"))
    assert is_installed("odd")
    assert not is_installed("nothing_like_it")
