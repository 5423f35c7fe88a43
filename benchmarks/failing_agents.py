"""Agents that never answer: one accepts connections and hangs, one refuses them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def hanging_agent() -> Iterator[str]:
    """Accept every connection inside the block, and never read from it or write to it; yield the agent's URL.

    Raises RuntimeError at the end if nobody came.
    """
    connections = list[socket.socket]()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_accept_all, args=(listener, connections))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # ends `accept`, which `close` does not
            thread.join()
            for connection in connections:
                connection.close()
    if not connections:
        raise RuntimeError("nobody connected to the agent that hangs")


@contextmanager
def refusing_agent() -> Iterator[str]:
    """Hold a port inside the block on which nothing listens; yield its URL."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def _accept_all(listener: socket.socket, connections: list[socket.socket]) -> None:
    with suppress(OSError):
        while True:
            connections.append(listener.accept()[0])
