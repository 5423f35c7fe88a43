"""A schema registry: the four requests of its HTTP API that Confluent's serializers make, on a real socket.

The registry itself is a Java program that this machine does not have. Its API is plain HTTP with JSON, and the real
clients of confluent-kafka talk to it here as they do elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import unquote

NOT_FOUND = 404


class SchemaRegistry:
    """The schemas that were registered, by id, beginning with `first_id`."""

    def __init__(self, first_id: int = 1) -> None:
        self.first_id: int = first_id
        self.schemas: list[dict[str, Any]] = []
        self.subjects: dict[str, list[int]] = {}
        self.url: str = ""
        self._lock = Lock()

    def register(self, subject: str, sent: dict[str, Any]) -> dict[str, Any]:
        """Return the id of a schema; a new one gets the next id."""
        schema = {"schema": sent["schema"], "schemaType": sent.get("schemaType", "AVRO")}
        with self._lock:
            if schema not in self.schemas:
                self.schemas.append(schema)
            id_, ids = self.first_id + self.schemas.index(schema), self.subjects.setdefault(subject, [])
            if id_ not in ids:
                ids.append(id_)
        return {"id": id_, "subject": subject, "version": ids.index(id_) + 1, **schema}

    def answer(self, method: str, path: str, sent: Any) -> dict[str, Any] | None:
        """Return the answer to a request; None for something that there is not."""
        match [unquote(part) for part in path.partition("?")[0].strip("/").split("/")]:
            case ["subjects", subject, "versions"] if method == "POST":
                return self.register(subject, sent)
            case ["subjects", subject] if method == "POST":
                return self.register(subject, sent)
            case ["schemas", "ids", id_]:
                return self.schemas[int(id_) - self.first_id]
            case _:
                return None


@contextmanager
def running_registry(first_id: int = 1) -> Iterator[SchemaRegistry]:
    """Serve a schema registry on a free port."""
    registry = SchemaRegistry(first_id)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = registry.answer(self.command, self.path, json.loads(sent) if sent else None)
            missing = {"error_code": 40401, "message": "there is no such thing"}
            body = json.dumps(missing if answer is None else answer).encode()
            self.send_response(200 if answer is not None else NOT_FOUND)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  (names of the base class)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (a name of the base class)
            """Say nothing about requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registry.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
