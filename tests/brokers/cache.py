"""What the tests download or build once: folders in the user's cache, each complete or not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from fcntl import LOCK_EX, flock
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

from tests.brokers.process import BrokerError
from tests.hangs import forget_time


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder `name` of the cache. `make` fills an empty folder the first time, and may raise.

    The name contains the versions of everything that is in the folder: what has the name is never made again. A test
    in which it is made may take as long as that takes. Raises BrokerError if the cache cannot be written.
    """
    cache = find_cache()
    folder = cache / name
    if folder.exists():
        return folder
    forget_time()  # or the test would be taken for one that hangs
    try:
        _fill(cache, folder, make)
    except OSError as error:
        problem = f"cannot make {folder}: {error}; XDG_CACHE_HOME may name another folder for caches"
        raise BrokerError(problem) from error
    return folder


def find_cache() -> Path:
    """Return the folder of the tests in the user's cache, which need not exist."""
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / "asyncdsm-tests"


def _fill(cache: Path, folder: Path, make: Callable[[Path], None]) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / f"{folder.name}.lock", "w") as lock:
        flock(lock, LOCK_EX)  # another run of the tests may be about to do the same
        if folder.exists():
            return
        beginning = f"{folder.name}.part-"
        for left in cache.glob(f"{beginning}*"):  # by a run that was killed
            rmtree(left, ignore_errors=True)
        with TemporaryDirectory(prefix=beginning, dir=cache, ignore_cleanup_errors=True) as fresh:
            target = Path(fresh, folder.name)
            target.mkdir()
            make(target)
            target.rename(folder)
