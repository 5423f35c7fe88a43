"""What failed in a run of the tests: `nox` runs a few of them once more."""

from __future__ import annotations

import json
from pathlib import Path

DISTRIBUTION = ["--dist", "loadfile", "--no-loadscope-reorder", "--max-worker-restart", "0"]
"""Options of pytest: in the order of `tests/conftest.py` the longest files come first, or one process works on one when
all else is done. A process that crashed is not replaced: the new one would get the same test, and wait for ever."""


def failed_tests(cache: Path) -> list[str]:
    """Return what failed in the run that left this cache.

    Nothing where more than tests failed, such as collecting, or where a process crashed, whose other tests nobody ran.
    """
    kept = cache / "v"
    if (kept / "asyncdsm" / "crashed").exists():
        return []
    try:
        failed = list(json.loads((kept / "cache" / "lastfailed").read_text()))
    except FileNotFoundError:
        return []
    return failed if all("::" in name for name in failed) else []
