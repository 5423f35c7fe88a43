"""Pauses in slow work, in which other threads run."""

from __future__ import annotations

from time import sleep

PAUSE_SECONDS = 50e-6


def no_pause() -> None:
    """Do nothing, where no other thread waits."""


def yield_gil() -> None:
    """Let other threads run, between two pieces of slow work in a worker thread.

    A thread that computes holds the interpreter lock for 5 ms at a time, and the event loop waits, unless it yields.
    """
    sleep(PAUSE_SECONDS)
