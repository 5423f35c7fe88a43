"""Runs at the beginning of every Python process under `asyncdsm run`, and hands over to the user's own, if any."""

import importlib
import os
import sys


def _begin() -> None:
    try:
        from asyncdsm.cli.run.start import begin  # noqa: PLC0415
    except (ImportError, SyntaxError):  # another Python, or another environment: not ours to follow
        return
    begin(os.environ)


def _hand_over() -> None:
    here, this = os.path.dirname(os.path.abspath(__file__)), sys.modules.pop(__name__)
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != here]
    try:
        importlib.import_module("sitecustomize")
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        sys.modules.setdefault(__name__, this)


_begin()
_hand_over()
