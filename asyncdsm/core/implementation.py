"""Which of two implementations of the core is in use: the native one, or the plain one in Python.

Both have the same names and do the same. The native one is compiled when the package is built where there is a C
compiler, and takes a tenth of the time. `ASYNCDSM_PURE=1` chooses the plain one.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

NATIVE_MODULE = "asyncdsm.core.native._native"


def _explain_plain() -> str | None:
    """Return why the plain core is in use; None if the native one is."""
    if os.environ.get("ASYNCDSM_PURE", "") not in {"", "0"}:
        return "ASYNCDSM_PURE is set"
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "this Python runs without the GIL, on which the native one relies"
    if find_spec(NATIVE_MODULE) is None:
        return "the native one was not compiled: see the manual, Installation"
    return None


WHY_PLAIN: str | None = _explain_plain()
"""Why the plain core is in use; None if the native one is."""
native: Any = None if WHY_PLAIN else import_module(NATIVE_MODULE)
"""The module of the native core; None if the plain one is in use."""
