"""No key, password or token is ever shown: in no log, repr, error, traceback, nor by the doctor."""

from __future__ import annotations

import ast
import json
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from urllib.parse import quote

import anyio
import pytest

from asyncdsm import DataStreams, SettingError, Settings
from asyncdsm._internal import log
from asyncdsm._internal.urls import without_password
from asyncdsm.cli.doctor import collect_report
from asyncdsm.cli.doctor_report import format_report
from asyncdsm.core.edge import Edge
from asyncdsm.delivery.exporters.agent import AgentExporter
from asyncdsm.errors import DeliveryError
from tests import by_hand
from tests.brokers.process import free_port
from tests.intake import RESET, Intake, running_intake

ROOT = Path(__file__).parents[2]
KEY, USER, PASSWORD = "k3y-hush", "u5er-hush", "p4ss?w@rd/hush"
SECRETS = (KEY, USER, PASSWORD, quote(PASSWORD, safe=""), "hush")


def shows(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def with_user(url: str) -> str:
    return url.replace("://", f"://{USER}:{quote(PASSWORD, safe='')}@")


@pytest.fixture(autouse=True)
def log_everything(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    log.forget_warnings()
    with caplog.at_level(logging.DEBUG):
        yield


ANSWERS: dict[str, Callable[[Intake], None]] = {
    "taken": lambda _: None,
    "refused": lambda intake: intake.answers.extend([401, 403]),
    "failing": lambda intake: intake.answers.append(500),
    "cut off": lambda intake: intake.answers.append(RESET),
    "not served": lambda intake: intake.answers.append(404),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("key", [KEY, None])
def test_delivery_logs_no_secret(answer: str, key: str | None, caplog: pytest.LogCaptureFixture) -> None:
    with running_intake() as intake:
        ANSWERS[answer](intake)
        settings = Settings(service="s", agent_url=with_user(intake.url), api_key=key, shutdown_seconds=30)
        with DataStreams(settings) as streams:
            by_hand.produce(Edge("direction:out", "topic:t", "type:kafka"))
        said = "\n".join([caplog.text, repr(streams), str(streams.stats), repr(vars(streams)), repr(settings)])
    assert intake.requests[0][2]["authorization"].startswith("Basic ")
    assert intake.requests[0][2].get("dd-api-key") == key
    assert any(record.name.startswith("httpcore2") for record in caplog.records)  # the HTTP client's lines are there
    assert "HTTP Request" not in caplog.text  # but for one at INFO that would come with each delivery
    assert shows(said) == []


@pytest.mark.parametrize("status", [401, 404, 500, RESET, None])
def test_delivery_error_and_traceback_show_no_secret(status: int | str | None) -> None:
    with running_intake() as intake:
        intake.answer = status or 202
        url = intake.url if status else f"http://127.0.0.1:{free_port()}"
        exporter = AgentExporter(Settings(agent_url=with_user(url), api_key=KEY))

        async def deliver() -> None:
            try:
                await exporter.export(b"")
            finally:
                await exporter.aclose()

        with pytest.raises(DeliveryError) as caught:
            anyio.run(deliver)
    error = caught.value
    said = "\n".join([repr(error), str(error), *traceback.format_exception(error), repr(exporter)])
    assert shows(said) == []


@pytest.mark.parametrize("show", [repr, str, format, "{}".format, "{0!r}".format, lambda each: "%s %r" % (each, each)])  # noqa: UP031
def test_shown_settings_contain_no_secret(show: Callable[[object], str]) -> None:
    settings = Settings(agent_url=with_user("http://agent"), api_key=KEY)
    assert shows(show(settings)) == []
    assert shows(show({"settings": settings, "shown": settings.shown()})) == []
    assert settings.api_key == KEY


WRONG = ["ftp://{}@agent", "{}@agent", "http://{}@agent:nine", "http://{}@", "http://{}@a b", "//{}@agent",
         "http://{}@1.2.3.999", "http://{}@agent?x=hush", "http://agent/?token={}", "unix://{}@/run"]  # fmt: skip
WRITTEN = ["u5er-hush:pass-hush", "u5er-hush:a@hush", "u5er-hush:a?hush", "u5er-hush:a#hush", "u5er-hush://hush"]


@pytest.mark.parametrize(("url", "user"), [*product(WRONG, WRITTEN)])
def test_error_for_a_wrong_url_shows_no_secret(url: str, user: str) -> None:
    url = url.format(user)
    reads: dict[str, Callable[[], Settings]] = {
        "agent_url": lambda: Settings(agent_url=url),
        "DD_TRACE_AGENT_URL": lambda: Settings.from_environ({"DD_TRACE_AGENT_URL": url}),
    }
    for name, read in reads.items():
        with pytest.raises(SettingError, match=f"^{name} must be") as caught:
            read()
        assert shows("".join(traceback.format_exception(caught.value))) == []
        assert shows(str(caught.value)) == []
    assert shows(str(without_password(url))) == []


@pytest.mark.parametrize("key", ["hush-\n", "hüsh-hush", "hush\0"])
def test_error_for_a_wrong_key_shows_no_secret(key: str) -> None:
    environ = {"DD_API_KEY": f"a{key}b", "DD_SITE": "datadoghq.eu"}
    reads: list[Callable[[], Settings]] = [
        lambda: Settings(api_key=key),
        lambda: Settings.from_environ(environ, socket_exists=lambda _: False),
    ]
    for read in reads:
        with pytest.raises(SettingError) as caught:
            read()
        assert shows(repr(caught.value)) == []


def environments() -> dict[str, dict[str, str]]:
    return {
        "a password": {"DD_TRACE_AGENT_URL": with_user(f"http://127.0.0.1:{free_port()}")},
        "a wrong URL": {"DD_TRACE_AGENT_URL": with_user("ftp://agent")},
        "a key": {"DD_API_KEY": KEY, "DD_SITE": "127.0.0.1"},
        "a wrong key": {"DD_API_KEY": f"{KEY}\n{KEY}", "DD_SITE": "datadoghq.eu"},
    }


@pytest.mark.parametrize("name", environments())
def test_doctor_shows_no_secret(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DD_AGENT_HOST", "DD_TRACE_AGENT_URL", "DD_TRACE_AGENT_PORT", "DD_AGENT_PORT"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environments()[name].items():
        monkeypatch.setenv(variable, value)
    found = collect_report(os.environ)
    assert not found["well"]
    said = "\n".join([json.dumps(found), *format_report(found)])
    assert "Clients" in said
    assert shows(said) == []


@pytest.mark.parametrize("name", environments())
def test_run_command_logs_no_secret(name: str) -> None:
    program = (
        "import logging; logging.basicConfig(level=logging.DEBUG)\n"
        "from asyncdsm import checkpoint; from asyncdsm.core.edge import Edge\n"
        "by_hand.produce(Edge('direction:out', 'topic:t'))\n"
    )
    command = [sys.executable, "-m", "asyncdsm", "run", sys.executable, "-c", program]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DD_")}
    process = subprocess.run(
        command,
        cwd=ROOT,
        env={**environ, **environments()[name]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.stderr
    assert shows(process.stdout + process.stderr) == []


FORBIDDEN = {"eval", "exec", "compile", "__import__"}
MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle"}


def names_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("folder", ["asyncdsm", "integrations"])
def test_sources_use_no_eval_and_no_unsafe_deserializer(folder: str) -> None:
    files = list(Path(ROOT, folder).rglob("*.py"))
    assert len(files) > 20
    for path in files:
        assert not (FORBIDDEN | MODULES) & set(names_in(path)), path
