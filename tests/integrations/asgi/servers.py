"""Real ASGI servers, run in this process: what becomes of an app on each, from its startup to its end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import httpx2
import hypercorn.asyncio
import hypercorn.trio
import uvicorn
from hypercorn.config import Config
from starlette.testclient import TestClient

from tests.brokers.process import free_port

HANGS_SECONDS = 1.0
"""How long a server that waits for ever is watched."""


class _Log(logging.Handler):
    """The lines that a server logs, without their tracebacks."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def logged(name: str) -> Iterator[list[str]]:
    handler, logger = _Log(), logging.getLogger(name)
    level, propagates = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates


async def answered(port: int) -> str:
    """Ask until there is an answer; return its status and body."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        with anyio.fail_after(10):
            while True:
                try:
                    answer = await client.get(f"http://127.0.0.1:{port}/")
                except httpx2.TransportError:
                    await anyio.sleep(0.01)
                else:
                    return f"{answer.status_code} {answer.text}"


class _Uvicorn(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def on_uvicorn(app: Any, lifespan: str) -> list[Any]:
    """Return whether an app starts, what it answers, how it ends, and what uvicorn says of it."""
    outcome, before = list[Any](), asyncio.all_tasks()
    with logged("uvicorn.error") as lines, socket.create_server(("127.0.0.1", 0)) as listener:
        server = _Uvicorn(uvicorn.Config(app, lifespan=lifespan, log_config=None, access_log=False))  # type: ignore[arg-type]

        async def serve() -> None:
            try:
                await server.serve(sockets=[listener])
            except SystemExit as ended:
                outcome.append(f"exit code {ended.code}")

        serving = asyncio.create_task(serve())
        with anyio.move_on_after(HANGS_SECONDS):
            while not (server.started or serving.done()):
                await asyncio.sleep(0.01)
        if server.started:
            outcome.append(await answered(listener.getsockname()[1]))
        elif not serving.done():
            outcome.append("hangs")
        server.should_exit = True
        with anyio.move_on_after(10 if server.started else HANGS_SECONDS):
            await asyncio.shield(serving)
        if not serving.done():
            outcome.append("does not end")
        rest = asyncio.all_tasks() - before
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
    return [*outcome, *(line for line in lines if "running on" not in line and "process" not in line)]


async def on_hypercorn(app: Any, backend: str) -> list[Any]:
    """Return whether an app starts, what it answers, how it ends, and what hypercorn says of it."""
    outcome, port = list[Any](), free_port()
    config = Config()
    config.bind, config.startup_timeout, config.shutdown_timeout = [f"127.0.0.1:{port}"], HANGS_SECONDS, HANGS_SECONDS
    config.errorlog = logging.getLogger("hypercorn.test")
    serve: Any = hypercorn.trio.serve if backend == "trio" else hypercorn.asyncio.serve
    over = anyio.Event()

    async def use() -> None:
        outcome.append(await answered(port))
        over.set()

    with logged("hypercorn.test") as lines:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(use)
                await serve(app, config, shutdown_trigger=over.wait)
                tasks.cancel_scope.cancel()
        except BaseException as error:
            outcome.append(kinds_of(error))
    return [*outcome, *(line for line in lines if "Running on" not in line)]


def on_test_client(app: Any, backend: Any) -> list[Any]:
    """Return whether an app starts, what it answers, and how it ends, under Starlette's test client."""
    outcome = list[Any]()
    try:
        with TestClient(app, backend=backend) as client:
            outcome.append("started")
            answer = client.get("/")
            outcome.append(f"{answer.status_code} {answer.text}")
    except BaseException as error:
        outcome.append(kinds_of(error))
    return outcome


def kinds_of(error: BaseException) -> Any:
    """Return what an error is, and what errors it groups."""
    if isinstance(error, BaseExceptionGroup):
        return [type(error).__name__, *map(kinds_of, error.exceptions)]
    return repr(error)
