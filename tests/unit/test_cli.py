"""The command line: wrong arguments, missing extras, Ctrl-C, and texts of help."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.brokers.process import free_port


def run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "asyncdsm", *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_version_option_prints_name_and_version() -> None:
    code, out, _ = run("--version")
    assert (code, out.split()[0]) == (0, "asyncdsm")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "COMMAND"),
        (("fly",), "fly"),
        (("agent", "--port", "x"), "must be a port from 0 to 65535, got 'x'"),
        (("agent", "--port", "65536"), "must be a port from 0 to 65535, got '65536'"),
        (("agent", "--port", "३३"), "must be a port from 0 to 65535, got '३३'"),
        (("agent", "--port", "8" * 5_000), "must be a port from 0 to 65535, got '888"),
        (("demo", "--seconds", "३"), "must be a number of seconds above 0 and below 86400, got '३'"),
        (("run",), "PROGRAM"),
        (("run", "-m"), "MODULE"),
        (("run", "app.py"), "to run a script, use `asyncdsm run python app.py`"),
        (("run", "no-such-program"), "found no program 'no-such-program' in PATH"),
        (("demo", "--seconds", "-1"), "must be a number of seconds above 0 and below 86400, got '-1'"),
    ],
)
def test_wrong_argument_is_an_error_of_one_line_and_exit_code_2(arguments: tuple[str, ...], said: str) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert said in err


def test_no_command_prints_the_help_with_all_commands() -> None:
    code, out, err = run()
    assert (code, out) == (2, "")
    assert all(f"    {command} " in err for command in ("agent", "map", "top", "check", "run", "doctor", "demo"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "agent.example"), "--host must be localhost, or an IP address of this machine"),
        (("--host", "0.0.0.0"), "so --token or ASYNCDSM_AGENT_TOKEN is required"),  # noqa: S104
        (("--token", "short"), "--token, or ASYNCDSM_AGENT_TOKEN, must have at least 16 printable ASCII characters"),
        (("--forward", "nowhere"), "--forward must be an http://, https:// or unix:// URL"),
        (("--store", "/no/folder/dsm.db"), "cannot use the store /no/folder/dsm.db: No such file or directory"),
    ],
)
def test_agent_that_cannot_start_says_what_is_allowed(arguments: tuple[str, ...], said: str) -> None:
    code, out, err = run("agent", "--port", "0", *arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert said in err


def test_map_without_an_agent_says_how_to_start_one() -> None:
    code, out, err = run("map", "--url", f"http://127.0.0.1:{free_port()}")
    assert (code, out) == (1, "")
    assert err.endswith("`asyncdsm agent` starts one\n")


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("http://agent:1234", "http://agent:1234"),
        ("unix:///agent.socket", "http://127.0.0.1:8126"),
        (None, "http://127.0.0.1:8126"),
    ],
)
def test_map_looks_for_the_agent_where_services_do(
    variable: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DD_TRACE_AGENT_URL", raising=False)
    if variable is not None:
        monkeypatch.setenv("DD_TRACE_AGENT_URL", variable)
    code, out, err = run("map")
    assert (code, out) == (1, "")
    assert f"agent at {expected} does not answer" in err


def test_program_of_a_virtualenv_that_is_not_activated_is_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "asyncdsm", "run", "uvicorn", "--version"]
    environ = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "uvicorn" in done.stdout
    uvicorn = tmp_path / "uvicorn"
    uvicorn.write_text("#!/bin/sh\necho $PATH\n")
    uvicorn.chmod(0o755)
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path))  # PATH is first, and stays as it was


@pytest.mark.parametrize("command", ["agent", "map", "top", "check", "run", "doctor", "demo"])
def test_help_of_a_command_names_it_and_lists_its_options(command: str) -> None:
    code, out, err = run(command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: asyncdsm {command}")
    assert "--help" in out


def test_missing_extra_is_named_in_the_error() -> None:
    code = "import sys; sys.modules['uvicorn'] = None; from asyncdsm.cli.main import main; sys.exit(main(['agent']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'asyncdsm[agent]'" in done.stderr
    assert "Traceback" not in done.stderr


CTRL_C_AT_IMPORT = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

module, sys.argv = sys.argv[1], sys.argv[1:]
sys.meta_path.insert(0, Finder())
from asyncdsm.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("asyncdsm.cli.main", ("doctor",)),
        ("argparse", ("doctor",)),
        ("asyncdsm.agent.http.server", ("agent", "--port", "0")),
        ("uvicorn", ("agent", "--port", "0")),
        ("asyncdsm.cli.demo.run", ("demo",)),
        ("confluent_kafka", ("demo",)),
        ("asyncdsm.cli.map", ("map",)),
        ("rich.live", ("top",)),
        ("asyncdsm.cli.run.launch", ("run", sys.executable, "-c", "print('ran')")),
        ("asyncdsm.cli.doctor", ("doctor",)),
    ],
)
def test_ctrl_c_during_an_import_ends_without_a_traceback(module: str, arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CTRL_C_AT_IMPORT, module, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
