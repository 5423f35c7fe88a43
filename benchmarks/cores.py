"""The cores of asyncdsm: which one is in use, and with what a process is started to use the other."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from asyncdsm.core.implementation import NATIVE_MODULE, WHY_PLAIN

NATIVE, PLAIN = "native", "plain"


def core_in_use() -> str:
    """Return the name of the core that this process uses."""
    return PLAIN if WHY_PLAIN else NATIVE


def built_cores() -> tuple[str, ...]:
    """Return the names of the cores that are installed, the fastest first."""
    return (PLAIN,) if find_spec(NATIVE_MODULE) is None else (NATIVE, PLAIN)


def environ_of(core: str) -> Mapping[str, str]:
    """Return what a process is started with to use a core."""
    return {"ASYNCDSM_PURE": "1" if core == PLAIN else "0"}


def target(native: float, plain: float | None) -> float | None:
    """Return the target of the core in use, None where it has none."""
    return native if core_in_use() == NATIVE else plain
