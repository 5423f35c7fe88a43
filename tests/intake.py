"""A real HTTP intake that behaves as a test tells it to: answers, hangs, resets, goes away and comes back."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from asyncdsm.delivery.payload import Payload, unpack
from asyncdsm.delivery.sketch import Sketch

RESET, HANG = "reset", "hang"


@dataclass
class Intake:
    """Listens in a thread of its own. `answers` are given first, one a request; then `answer` for ever."""

    url: str = ""
    answer: int | str = 202
    answers: list[int | str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    """What is in the body of an answer."""
    endpoints: list[str] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    """Method, path, headers (lower case) and body of each request that came."""
    accepted: list[bytes] = field(default_factory=list)
    """The bodies that were answered with a 2xx."""

    @property
    def payloads(self) -> list[Payload]:
        """What was accepted, decoded."""
        return [unpack(gzip.decompress(body)) for body in self.accepted]

    def counted(self) -> int:
        """Return how many checkpoints the accepted sketches count."""
        return counted(self.payloads)

    def counted_once(self) -> int:
        """Return the same without what came again: a payload whose answer was lost is sent again, byte for byte."""
        return counted([unpack(gzip.decompress(body)) for body in set(self.accepted)])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                if not await self._serve_one(head, reader, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _serve_one(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append((method, path, headers, body))
        if path == "/info":
            text = str({"endpoints": self.endpoints}).replace("'", '"').encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
            await writer.drain()
            return True
        answer = self.answers.pop(0) if self.answers else self.answer
        if answer == HANG:
            await asyncio.sleep(60)
        if not isinstance(answer, int):
            writer.transport.abort()
            return False
        if 200 <= answer < 300:
            self.accepted.append(body)
        more = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        writer.write(f"HTTP/1.1 {answer} X\r\n{more}Content-Length: {len(self.body)}\r\n\r\n".encode() + self.body)
        await writer.drain()
        return True


def counted(payloads: Iterable[Payload], tag: str | None = None) -> int:
    """Return how many checkpoints the sketches of these payloads count; with `tag`, those whose edge has it."""
    points = [
        point
        for payload in payloads
        for bucket in payload.stats or ()
        for point in bucket.stats or ()
        if tag is None or tag in (point.edge_tags or ())
    ]
    return round(sum(Sketch.decode(point.pathway_latency).count for point in points))


@contextmanager
def running_intake(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    socket_path: str | None = None,
    tls: ssl.SSLContext | None = None,
    intake: Intake | None = None,
) -> Iterator[Intake]:
    """Run an intake inside the block; leaving it cuts every connection, as a killed agent would."""
    intake = intake or Intake()
    loop = asyncio.new_event_loop()
    listening, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        if socket_path:
            server = await asyncio.start_unix_server(intake.serve, socket_path)
            intake.url = f"unix://{socket_path}"
        else:
            server = await asyncio.start_server(intake.serve, host, port, ssl=tls, reuse_address=True)
            name = "localhost" if tls else f"[{host}]" if ":" in host else host
            intake.url = f"{'https' if tls else 'http'}://{name}:{server.sockets[0].getsockname()[1]}"
        listening.set()
        await stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert listening.wait(10)
        yield intake
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
