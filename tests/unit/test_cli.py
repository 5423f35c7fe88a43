"""The command line: what is wrong is said in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "asyncdsm", *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_version() -> None:
    code, out, _ = run("--version")
    assert (code, out.split()[0]) == (0, "asyncdsm")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "COMMAND"),
        (("fly",), "fly"),
        (("agent", "--port", "x"), "'x' is not a port"),
        (("agent", "--port", "65536"), "'65536' is not a port"),
        (("run",), "PROGRAM"),
        (("run", "-m"), "MODULE"),
        (("run", "app.py"), "a script is started by `asyncdsm run python app.py`"),
        (("run", "no-such-program"), "no program 'no-such-program'"),
        (("demo", "--seconds", "-1"), "'-1' is not a number of seconds"),
    ],
)
def test_wrong_arguments(arguments: tuple[str, ...], said: str) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert said in err


def test_program_beside_python_is_run_where_the_environment_is_not_activated(tmp_path: Path) -> None:
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


def test_a_missing_extra_is_named() -> None:
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
def test_ctrl_c_while_it_imports_ends_it_without_a_traceback(module: str, arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CTRL_C_AT_IMPORT, module, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
