"""Makes forks safe: no fork happens while a thread of asyncdsm imports, and the child starts with fresh state."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from asyncdsm._internal.half_imports import forget_half_imports

LONGEST_WAIT_SECONDS = 2.0
"""How long a fork waits, which blocks the program. What is half imported then is imported anew in the child."""

import_lock: threading.RLock = threading.RLock()
"""Held while a thread of asyncdsm imports. A fork waits for the lock, which is nearly always free. The lock is
reentrant: a fork during the import of gevent, which starts a subprocess, does not wait for itself."""

_held = False
_registered = threading.Lock()  # acquired once, never released


def make_forks_wait_for_imports() -> None:
    """Make every later fork wait until no thread of asyncdsm imports. Called before the first such thread starts."""
    if not _registered.acquire(blocking=False):
        return
    # Before a fork, the hook that was registered last runs first. The hook of `logging` takes a lock that the import of
    # a module with a logger needs. So ours must run before it, and is registered after it: otherwise this fork and the
    # import would wait for each other.
    import logging  # noqa: F401, PLC0415

    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)


def call_in_forked_child(in_child: Callable[[], object]) -> None:
    """Register a function to be called in every forked child."""
    os.register_at_fork(after_in_child=in_child)


def _before() -> None:
    global _held  # noqa: PLW0603
    _held = import_lock.acquire(timeout=LONGEST_WAIT_SECONDS)


def _after_in_parent() -> None:
    if _held:
        import_lock.release()


def _after_in_child() -> None:
    global import_lock  # noqa: PLW0603
    import_lock = threading.RLock()
    if not _held:
        forget_half_imports()
