"""Keeps other agents, and other users, from the store's file."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from asyncdsm._internal.log import warn_each_minute


def lock_store_file(path: Path) -> int:
    """Lock the store's file until the returned descriptor, of the file `PATH.lock`, is closed.

    A second agent would count the payloads in the journal again. Raises OSError if another agent has the lock, or if
    the file `PATH.lock` cannot be opened.
    """
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise BlockingIOError(errno.EWOULDBLOCK, "another agent has it open") from None
    return lock


def restrict_permissions(path: Path) -> None:
    """Make the store's file, and the files of SQLite next to it, readable by their owner only. Raises OSError."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for suffix in ("", "-wal", "-shm", ".lock"):  # SQLite creates two of them with the permissions of the first
        with suppress(FileNotFoundError):
            _restrict_file(f"{path}{suffix}")


def _restrict_file(path: str) -> None:
    try:
        if os.stat(path).st_mode & 0o077:
            os.chmod(path, 0o600)
    except PermissionError:
        warn_each_minute(
            "private", "asyncdsm agent cannot make its store private, because another user owns it: %s", path
        )
