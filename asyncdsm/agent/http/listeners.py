"""The sockets that the agent listens on: a TCP port, and a Unix socket, which services of this machine connect to."""

from __future__ import annotations

import ipaddress
import socket
import stat
from contextlib import suppress
from pathlib import Path

from asyncdsm.agent.http.connections import BACKLOG
from asyncdsm.errors import UnixSocketError

PERMISSIONS = 0o666
"""Every user of this machine may connect, as to a port of 127.0.0.1: services often run as other users."""


def open_tcp_listener(host: str, port: int, token: str | None) -> socket.socket:
    """Return a socket that listens on an address; port 0 takes a free port.

    Raises ValueError for a host that is not an IP address, or that other machines can connect to without a token;
    OSError for a port that is in use.
    """
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise ValueError("--host must be localhost, or an IP address of this machine") from None
    if not (address.is_loopback or token):
        raise ValueError("other machines can connect to this address, so --token or ASYNCDSM_AGENT_TOKEN is required")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    # asyncio turns off Nagle's algorithm only for a socket with this protocol; with it, each answer would take 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((str(address), port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


class UnixListener:
    """A Unix socket that listens. Its file is removed when it is closed. It blocks: use it in a worker thread."""

    def __init__(self, path: Path) -> None:
        """Listen on a new socket at `path`. Raises UnixSocketError.

        A socket that no process listens on, such as that of an agent that was killed, is replaced.
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
            if _identity(self._path) == self._identity:  # another agent may have created its own in the meantime
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
        raise UnixSocketError(f"{path}: there is already a file that is not a socket")
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
