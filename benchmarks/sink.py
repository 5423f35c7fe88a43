"""Agents for clients in other processes: one that takes everything and keeps nothing, at once or in its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLOW_SECONDS = 0.5
"""Within what every tracer waits, which is a second with ddtrace."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    delay = 0.0

    def handle(self) -> None:
        """Take it well that a client ends in the middle."""
        with suppress(ConnectionError):
            super().handle()

    def _answer(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        time.sleep(self.delay)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = do_PUT = _answer  # noqa: N815  (the names that http.server looks for)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


class _SlowHandler(_Handler):
    delay = SLOW_SECONDS


@contextmanager
def sink(*, slow: bool = False) -> Iterator[Mapping[str, str]]:
    """Listen inside the block; yield the environment that leads a tracer here.

    A slow one answers each request after `SLOW_SECONDS`.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _SlowHandler if slow else _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield {"DD_TRACE_AGENT_URL": f"http://127.0.0.1:{server.server_port}"}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
