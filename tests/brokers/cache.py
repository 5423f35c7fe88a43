"""What the tests download or build once: folders in the user's cache, each complete or not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from faulthandler import cancel_dump_traceback_later
from fcntl import LOCK_EX, flock
from pathlib import Path
from tempfile import TemporaryDirectory


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder `name` of the cache. `make` fills an empty folder the first time, and may raise.

    The name contains the versions of everything that is in the folder: what has the name is never made again. A test
    in which it is made may take as long as that takes.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "asyncdsm-tests")
    folder = cache / name
    if folder.exists():
        return folder
    cancel_dump_traceback_later()  # pytest would take the test for one that hangs
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / f"{name}.lock", "w") as lock:
        flock(lock, LOCK_EX)  # another run of the tests may be about to do the same
        if not folder.exists():
            with TemporaryDirectory(dir=cache) as fresh:
                target = Path(fresh, name)
                target.mkdir()
                make(target)
                target.rename(folder)
    return folder
