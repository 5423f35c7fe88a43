"""Forks that other threads of ours are in the middle of: the child would keep what they had half done."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

LONGEST_WAIT_SECONDS = 10.0

import_lock: threading.RLock = threading.RLock()
"""Held while a thread of ours imports: a module half imported at a fork stays so in the child for ever. A fork waits
for it, in nearly all programs not at all; one that an import makes itself does not, as gevent's subprocesses do."""

_held = False
_waits = threading.Lock()  # taken once, and never let go


def make_forks_wait_for_imports() -> None:
    """Have every fork from here on wait until nothing is imported by a thread of ours. Called before one starts."""
    if not _waits.acquire(blocking=False):
        return
    # Before a fork the hook that was registered last runs first. logging's takes the lock that every import of a
    # module with a logger needs: ours must wait before, or it waits in vain.
    import logging  # noqa: F401, PLC0415

    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)


def call_in_forked_child(in_child: Callable[[], object]) -> None:
    """Call `in_child` in every forked child."""
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
