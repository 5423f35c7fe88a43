"""The cores of asyncdsm: which one is in use, and with what a contestant is started on each.

This module is the only one of the benchmarks that knows how a core is chosen.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module

NATIVE, PLAIN = "native", "plain"
CHOICE = "ASYNCDSM_PURE"


def core_in_use() -> str:
    """Return the name of the core that a program with this process's environment uses."""
    return PLAIN if os.environ.get(CHOICE) == "1" else built_cores()[0]


def built_cores() -> tuple[str, ...]:
    """Return the names of the cores that are installed, the fastest first."""
    try:
        import_module("asyncdsm.core.native._native")
    except ImportError:
        return (PLAIN,)
    return NATIVE, PLAIN


def environ_of(core: str) -> Mapping[str, str]:
    """Return what a process is started with to use a core."""
    return {CHOICE: "1" if core == PLAIN else "0"}


def target(native: float, plain: float | None) -> float | None:
    """Return the target of the core in use, None where it has none."""
    return native if core_in_use() == NATIVE else plain
