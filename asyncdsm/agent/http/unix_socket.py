"""The agent's Unix socket: a file that services of this machine connect to, as with the Datadog Agent's."""

from __future__ import annotations

import socket
import stat
from contextlib import suppress
from pathlib import Path

from asyncdsm.agent.http.connections import BACKLOG
from asyncdsm.errors import UnixSocketError

PERMISSIONS = 0o666
"""Every user of this machine may connect, as to a port of 127.0.0.1: services run as other users than the agent."""


class UnixListener:
    """A Unix socket that listens; the file is removed when it is closed. Blocks: use it in a worker thread."""

    def __init__(self, path: Path) -> None:
        """Listen at `path`. Raises UnixSocketError.

        A socket that nobody listens at, such as one that a killed agent left, is replaced.
        """
        try:
            _remove_stale(path)
            self.socket: socket.socket = _listen(path)
            self._path, self._identity = path, _identity(path)
        except OSError as error:
            raise UnixSocketError(f"{path}: {error.strerror or error}") from None

    def close(self) -> None:
        """Stop listening, and remove the file."""
        self.socket.close()
        with suppress(OSError):
            if _identity(self._path) == self._identity:  # another agent may have made its own in the meantime
                self._path.unlink()


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(PERMISSIONS)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise UnixSocketError(f"{path}: there is a file of another kind")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        except (BlockingIOError, TimeoutError):
            raise UnixSocketError(f"{path}: another program listens there") from None
        else:
            raise UnixSocketError(f"{path}: another program listens there")


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino
