"""Starts the program in the place of this process."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from asyncdsm.cli.run.start import CLIENTS
from asyncdsm.errors import AsyncDSMError
from asyncdsm.integration.registry import list_packages

BOOTSTRAP = str(Path(__file__).with_name("bootstrap"))


class ProgramError(AsyncDSMError, ValueError):
    """There is no such program."""


def launch(command: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Become this program, in this environment. Raises ProgramError when there is none of this name.

    It is searched for in PATH, then beside this Python: there a virtual environment that is not activated has it.
    """
    beside_python = str(Path(sys.executable).parent)
    program = shutil.which(command[0], path=environ.get("PATH")) or shutil.which(command[0], path=beside_python)
    if program is None:
        hint = f"; a script is started by `asyncdsm run python {command[0]}`" if command[0].endswith(".py") else ""
        raise ProgramError(f"no program {command[0]!r} can be found and run{hint}")
    os.execve(program, list(command), dict(environ))  # noqa: S606  (to start what the user says is what it is for)


def module(arguments: Sequence[str]) -> list[str]:
    """Return the command that runs a module: `python -m`."""
    return [sys.executable, "-m", *arguments]


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which every Python begins with our `sitecustomize`."""
    paths = [path for path in environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", BOOTSTRAP)]
    return {**environ, "PYTHONPATH": os.pathsep.join([BOOTSTRAP, *paths]), CLIENTS: ",".join(sorted(list_packages()))}
