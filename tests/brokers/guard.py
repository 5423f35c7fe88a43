"""Run a command in a fresh folder until standard input closes; then end it and remove the folder.

A script of its own, run by `process.serving`: the pipe on its standard input closes however the test run
ends, by SIGKILL too, so no broker outlives its tests.
"""

import signal
import subprocess
import sys
from tempfile import TemporaryDirectory
from threading import Thread


def end_with_input(child: subprocess.Popen[bytes]) -> None:
    """Wait until nobody holds the other end of standard input, then kill the child."""
    sys.stdin.read()
    child.kill()


def main(parent_folder: str, *command: str) -> int:
    """Return the command's exit status, negative for a signal."""
    with TemporaryDirectory(prefix="asyncdsm-", dir=parent_folder) as folder:
        child = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL)
        for ending in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, lambda *_: child.kill())
        Thread(target=end_with_input, args=(child,), daemon=True).start()
        return child.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
