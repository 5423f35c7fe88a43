"""Which core measures, the native or the plain one, and why: for `asyncdsm doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from typing import TypedDict

from asyncdsm.core.implementation import NOT_COMPILED, load_native

NOTE = "extra_metadata/no-native-core.txt"


class Core(TypedDict):
    """The core in use, `native` or `plain`. Of the plain one, also why it is not the native one."""

    in_use: str
    reason: str | None


def inspect_core(environ: Mapping[str, str]) -> Core:
    """Return which core a program with this environment uses."""
    native, reason = load_native(environ)
    if native is not None:
        return {"in_use": "native", "reason": None}
    return {"in_use": "plain", "reason": (_read_note() if reason == NOT_COMPILED else None) or reason}


def _read_note() -> str | None:
    """Return why the installed package was built without the native core, None if its build did not say."""
    try:
        note = distribution("asyncdsm").read_text(NOTE)
    except PackageNotFoundError:  # run from a folder that was not installed
        return None
    return f"when asyncdsm was built, {note.strip()}" if note else None
