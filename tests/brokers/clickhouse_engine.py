"""ClickHouse's engine behind a small HTTP server: `python -m tests.brokers.clickhouse_engine PORT`.

The engine is chdb, ClickHouse's own in a library. The server understands what clickhouse-connect sends, so that tests
talk to the engine with the client that users have, over a socket. It runs one statement at a time, and knows no users.
"""

from __future__ import annotations

import gzip
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from chdb import ChdbError
from chdb.session import Session

_OF_HTTP = {
    "client_protocol_version",
    "compress",
    "database",
    "query",
    "query_id",
    "session_id",
    "wait_end_of_query",
}
# Most tests live in the year 2023, and ClickHouse forgets by its own clock. Only tables that keep a year do so here.
_TTL = re.compile(r" TTL toDateTime\(\w+\) \+ INTERVAL (?!31536000 )\d+ SECOND$")
_FORMAT = re.compile(r"\s+FORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)


class Engine:
    """The engine, with its data in the current folder."""

    def __init__(self) -> None:
        self._lock, self._inserted = Lock(), Path("inserted").absolute()
        self._session = Session("data")

    def run(self, statement: str, data: bytes, settings: dict[str, str]) -> bytes:
        """Run a statement, with the data to insert if there is any, and return its result. Raises an error of chdb."""
        with self._lock:
            for name, value in settings.items():
                self._session.query(f"SET {name} = '{value}'")
            found = _FORMAT.search(statement)
            statement = _TTL.sub("", statement)
            format_ = found[1] if found else "TabSeparated"
            statement = statement[: found.start()] if found else statement
            if not data:
                return bytes(self._session.query(statement, format_).bytes())
            self._inserted.write_bytes(data)
            self._session.query(f"{statement} FROM INFILE '{self._inserted}' FORMAT {format_}")
            return b""


class Handler(BaseHTTPRequestHandler):
    """Answers as ClickHouse does."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the body of each answer waits for the headers to be acknowledged, for 40 ms
    engine: Engine

    def do_GET(self) -> None:
        """Answer `/ping`, and queries in the address."""
        self.do_POST()

    def do_POST(self) -> None:
        """Run a statement that is in the body, or in the address with its data in the body."""
        parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        statement = parameters.get("query", "")
        if not statement:
            # clickhouse-connect sends an INSERT as a line of the body, with the data after it.
            line, _, data = body.partition(b"\n") if body.startswith(b"INSERT INTO") else (body, b"", b"")
            statement, body = line.decode(), data
        settings = {name: value for name, value in parameters.items() if name not in _OF_HTTP}
        try:
            self.answer(200, self.engine.run(statement, body, settings) if statement else b"Ok.\n")
        except (
            ChdbError,
            RuntimeError,
        ) as error:  # chdb and chdb-core each bring a class ChdbError, and one module wins
            self.answer(500, str(error).encode())

    def answer(self, status: int, body: bytes) -> None:
        """Send a status and a body."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-ClickHouse-Summary", "{}")
        self.send_header("X-ClickHouse-Query-Id", str(uuid4()))
        if status != 200:
            found = re.match(rb"Code: (\d+)", body)
            self.send_header("X-ClickHouse-Exception-Code", found[1].decode() if found else "1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it)
        """Log nothing."""


def main() -> None:
    """Serve until the process ends."""
    Handler.engine = Engine()
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
