"""A proxy in front of the tests' ClickHouse that answers wrongly, or not at all, for as long as a test wants."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Literal

Fault = Literal["", "hangs", "resets", "500", "page", "truncated", "short"]
FAULTS: tuple[Fault, ...] = ("hangs", "resets", "500", "page", "truncated", "short")
"""What it does: never answers; resets the connection; answers 500; with a page; with a half of the answer, and closes;
with a half of the answer as if it was the whole one."""
_PAGE = b"<html><body>This site is being maintained</body></html>"


class FaultyProxy:
    """Where it listens, and what it does: `fault` is "" while it only passes on."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.fault: Fault = ""
        self.connections: set[socket.socket] = set()
        self._ended = Event()

    def wait_for_end(self) -> None:
        """Return when the test is over."""
        self._ended.wait(60)

    def close(self) -> None:
        """Close the connections that clients keep open."""
        self._ended.set()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def address(self, database: str) -> str:
        """Return the address of a database behind it."""
        return f"clickhouse://user:secret@127.0.0.1:{self.port}/{database}"


@contextmanager
def faulty_proxy(clickhouse: int) -> Iterator[FaultyProxy]:
    """Listen for as long as the block lasts, in front of the ClickHouse on a port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            proxy.connections.add(self.connection)

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            match proxy.fault:
                case "hangs":
                    proxy.wait_for_end()
                    self.close_connection = True
                case "resets":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                    self.close_connection = True
                case "500":
                    self.answer(500, b"Code: 1002. something broke")
                case "page":
                    self.answer(200, _PAGE)
                case "truncated" | "short" as fault:
                    status, headers, answer = self.ask(body)
                    half = answer[: len(answer) // 2]
                    self.answer(status, half, headers, len(answer) if fault == "truncated" else len(half))
                    self.close_connection = True
                case "":
                    status, headers, answer = self.ask(body)
                    self.answer(status, answer, headers)

        def ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            """Pass the request on."""
            connection = HTTPConnection("127.0.0.1", clickhouse, timeout=60)
            try:
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                return answer.status, dict(answer.getheaders()), answer.read()
            finally:
                connection.close()

        def answer(
            self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None
        ) -> None:
            """Answer; `length` is how long the body is said to be."""
            self.send_response_only(status)
            for name, value in (headers or {}).items():
                if name.lower() != "content-length":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002  (the base class names it)

    class Server(ThreadingHTTPServer):
        daemon_threads = False

        def handle_error(self, request: object, client_address: object) -> None: ...

    with Server(("127.0.0.1", 0), Handler) as server:
        proxy = FaultyProxy(server.server_port)
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            proxy.close()
            thread.join()
