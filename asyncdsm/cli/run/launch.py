"""Replaces this process by the program that `asyncdsm run` was asked to run."""

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
    """The program was not found."""


def launch(command: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Replace this process by a program, with these environment variables. Raises ProgramError if it is not found.

    It is searched for in PATH, then in the folder of this Python, which has the programs of a virtual environment that
    is not activated.
    """
    python_folder = str(Path(sys.executable).parent)
    program = shutil.which(command[0], path=environ.get("PATH")) or shutil.which(command[0], path=python_folder)
    if program is None:
        hint = f"; to run a script, use `asyncdsm run python {command[0]}`" if command[0].endswith(".py") else ""
        raise ProgramError(f"found no program {command[0]!r} in PATH or in {python_folder}{hint}")
    os.execve(program, list(command), dict(environ))  # noqa: S606  (the user names the program)


def module_command(arguments: Sequence[str]) -> list[str]:
    """Return the command that runs a module with its arguments: `python -m`."""
    return [sys.executable, "-m", *arguments]


def bootstrap_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return environment variables with which every Python process starts with the `sitecustomize` in `bootstrap`."""
    paths = [path for path in environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", BOOTSTRAP)]
    return {**environ, "PYTHONPATH": os.pathsep.join([BOOTSTRAP, *paths]), CLIENTS: ",".join(sorted(list_packages()))}
