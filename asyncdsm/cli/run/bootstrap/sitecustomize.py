"""Runs at the start of every Python process under `asyncdsm run`, then runs the `sitecustomize` of the user."""

import importlib
import os
import sys


def _start_asyncdsm() -> None:
    try:
        from asyncdsm.cli.run.start import start_following  # noqa: PLC0415
    except (ImportError, SyntaxError):  # another Python or another environment, without asyncdsm
        return
    start_following(os.environ)


def _run_own_sitecustomize() -> None:
    here, this = os.path.dirname(os.path.abspath(__file__)), sys.modules.pop(__name__)
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != here]
    try:
        importlib.import_module("sitecustomize")
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        sys.modules.setdefault(__name__, this)


_start_asyncdsm()
_run_own_sitecustomize()
