"""What becomes of a run of several processes when one of them crashes."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """Note that a process has crashed: `nox` must not run its one failed test again, and call that all."""
    if error and (cache := getattr(node.config, "cache", None)) is not None:
        cache.set("asyncdsm/crashed", str(error))
