"""Run a command in a fresh folder, or a given one, until standard input closes; then end it, and a fresh folder too.

A script of its own: the pipe on its standard input closes however the program that runs it ends, by SIGKILL too, so no
server outlives who started it.
"""

import os
import signal
import subprocess
import sys
from contextlib import nullcontext, suppress
from tempfile import TemporaryDirectory
from threading import Thread


def kill(child: subprocess.Popen[bytes]) -> None:
    """Kill the child, and what it started: they are a process group of their own."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def end_with_input(child: subprocess.Popen[bytes]) -> None:
    """Wait until nobody holds the other end of standard input, then kill the child."""
    sys.stdin.read()
    kill(child)


def main(folder: str, new: str, *command: str) -> int:
    """Run in `folder`, or with `new` in one made there. Return the command's exit status, negative for a signal."""
    with TemporaryDirectory(prefix="asyncdsm-", dir=folder) if new else nullcontext(folder) as here:
        child = subprocess.Popen(command, cwd=here, stdin=subprocess.DEVNULL, process_group=0)
        for ending in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, lambda *_: kill(child))
        Thread(target=end_with_input, args=(child,), daemon=True).start()
        try:
            return child.wait()
        finally:
            kill(child)  # what it left behind


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
