"""Which of two implementations of the core is in use: the native one, or the plain one in Python.

Both have the same names and do the same. The native one is compiled when the package is built where there is a C
compiler, and takes a tenth of the time. `ASYNCDSM_PURE=1` chooses the plain one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

NATIVE_MODULE = "asyncdsm.core.native._native"
NOT_COMPILED = "the native one was not compiled"


def load_native(environ: Mapping[str, str]) -> tuple[Any, str | None]:
    """Return the module of the native core, and None; or None, and why the plain core is to be used."""
    if environ.get("ASYNCDSM_PURE", "").strip() not in {"", "0"}:
        return None, "ASYNCDSM_PURE is set"
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return None, "this Python runs without the GIL, which is the native one's only lock"
    try:
        module = import_module(NATIVE_MODULE)
        if module.contexts is not import_module("asyncdsm.core.context"):
            return None, "the native one belongs to an earlier import of asyncdsm"  # it is loaded once in a process
        return module, None
    except ModuleNotFoundError:
        return None, NOT_COMPILED
    except ImportError as error:
        return None, f"the native one cannot be loaded: {error}"


native: Any
WHY_PLAIN: str | None
native, WHY_PLAIN = load_native(os.environ)
"""The module of the native core, None if the plain one is in use; and then why."""
