"""Runs a command until standard input closes, then kills it. The command may get a temporary folder to run in.

This is a script for a process of its own. The pipe on its standard input closes however the program that started it
ends, even by SIGKILL, so no server outlives that program.
"""

import os
import signal
import subprocess
import sys
from contextlib import nullcontext, suppress
from tempfile import TemporaryDirectory
from threading import Thread


def kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill the child and all processes that it started, which are in its process group."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def kill_when_input_closes(child: subprocess.Popen[bytes]) -> None:
    """Wait until standard input closes, then kill the child and all that it started."""
    sys.stdin.read()
    kill_group(child)


def run_guarded(folder: str, new: str, *command: str) -> int:
    """Run a command in `folder`, or if `new` is not empty, in a temporary folder that is created there.

    Returns the exit status of the command, negative for a signal.
    """
    with TemporaryDirectory(prefix="asyncdsm-", dir=folder) if new else nullcontext(folder) as here:
        child = subprocess.Popen(command, cwd=here, stdin=subprocess.DEVNULL, process_group=0)
        for ending in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, lambda *_: kill_group(child))
        Thread(target=kill_when_input_closes, args=(child,), daemon=True).start()
        try:
            return child.wait()
        finally:
            kill_group(child)  # processes that the command left running


if __name__ == "__main__":
    sys.exit(run_guarded(*sys.argv[1:]))
