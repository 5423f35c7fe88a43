"""`asyncdsm doctor`: what it finds, in words and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from asyncdsm.cli.main import main
from asyncdsm.core import context
from asyncdsm.core.implementation import NATIVE_MODULE
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
    found_settings = {name: (setting["value"], setting["from"]) for name, setting in said["settings"].items()}
    assert found_settings["service"] == ("shop", "OTEL_SERVICE_NAME")
    assert found_settings["env"] == ("test", "DD_ENV")
    assert found_settings["version"] == (None, "default")
    assert found_settings["agent_url"] == (intake.url, "DD_TRACE_AGENT_URL")
    assert said["settings"]["version"]["variables"][:2] == ["DD_VERSION", "DD_TAGS:version"]
    assert said["agent"] == {
        "answers": True,
        "lists_endpoint": True,
        "problem": None,
        "status": 200,
        "version": None,
    }
    clients = {client["name"]: client for client in said["clients"]}
    assert (clients["aiokafka"]["instrumented"], clients["httpx2"]["instrumented"]) == ("yes", "where wrapped")
    assert (clients["aiokafka"]["tested"], clients["aiokafka"]["problem"]) == (["0.10", "0.14"], None)


def test_report_as_text_has_a_line_for_each_finding(
    intake: Intake, environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ.setenv("DD_SERVICE", "shop")
    assert main(["doctor"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "service shop from DD_SERVICE" in lines
    assert "version not set default; DD_VERSION sets it" in lines
    assert "max_points 10000 default; only code sets it" in lines
    assert "max_transaction_bytes 4194304 default; only code sets it" in lines
    assert any(
        line.startswith("httpx2 ") and "instrumented where it is passed to asyncdsm.wrap" in line for line in lines
    )
    assert f"The agent at {intake.url} answers, and lists the Data Streams endpoint" in lines


def core_line(capsys: pytest.CaptureFixture[str]) -> str:
    main(["doctor"])
    return capsys.readouterr().out.splitlines()[1]


def test_report_names_the_native_core(environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    environ.delenv("ASYNCDSM_PURE", raising=False)
    native: Any = ModuleType(NATIVE_MODULE)
    native.contexts = context
    environ.setitem(sys.modules, NATIVE_MODULE, native)
    assert core_line(capsys) == "Core: native"
    assert found(capsys)[1]["core"] == {"in_use": "native", "reason": None}


def test_report_says_why_the_core_is_the_plain_one(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    environ.setitem(sys.modules, NATIVE_MODULE, None)  # as if it were not there
    environ.setenv("ASYNCDSM_PURE", "1")
    assert core_line(capsys) == "Core: plain, which is slower: ASYNCDSM_PURE is set"
    environ.setenv("ASYNCDSM_PURE", "0")
    metadata = tmp_path / "asyncdsm-9.dist-info"
    metadata.joinpath("extra_metadata").mkdir(parents=True)
    metadata.joinpath("METADATA").write_text("Name: asyncdsm\nVersion: 9\n")
    environ.syspath_prepend(tmp_path)
    assert core_line(capsys) == "Core: plain, which is slower: the native one was not compiled"
    metadata.joinpath("extra_metadata", "no-native-core.txt").write_text("no C compiler was found (gcc)\n")
    reason = "when asyncdsm was built, no C compiler was found (gcc)"
    assert core_line(capsys) == f"Core: plain, which is slower: {reason}"


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
    assert "Nothing is measured, because a setting is wrong: DD_DATA_STREAMS_ENABLED" in capsys.readouterr().out
    assert said["next_steps"] == ["Correct DD_DATA_STREAMS_ENABLED, or unset it"]


def test_disabled_asyncdsm_asks_no_agent(environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    environ.setenv("DD_DATA_STREAMS_ENABLED", "false")
    code, said = found(capsys)
    assert (code, said["agent"]) == (0, None)
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "no message is touched" in shown
    assert shown.splitlines()[-1] == "  To measure, set DD_DATA_STREAMS_ENABLED to true, or unset it"


def test_report_shows_no_password(environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    environ.setenv("DD_TRACE_AGENT_URL", f"http://me:secret@127.0.0.1:{free_port()}")
    main(["doctor"])
    main(["doctor", "--json"])
    assert "secret" not in capsys.readouterr().out


def test_module_without_a_file_counts_as_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "odd", ModuleType("odd"))
    assert is_installed("odd")
    assert not is_installed("nothing_like_it")
    assert not is_installed("nothing_like_it.within")
