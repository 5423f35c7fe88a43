"""The agent as a server on the event loop that runs: its listeners, its HTTP server, and its upkeep."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import uvicorn
from anyio import CancelScope, Event, to_thread

from asyncdsm._internal.log import warn_each_minute
from asyncdsm._internal.urls import ALLOWED, without_password
from asyncdsm.agent.alerts.page_rules import PageRules
from asyncdsm.agent.alerts.watcher import AlertWatcher
from asyncdsm.agent.http.app import Agent
from asyncdsm.agent.http.authentication import check_token
from asyncdsm.agent.http.connections import BACKLOG, KEEP_ALIVE_SECONDS, BoundedProtocol
from asyncdsm.agent.http.listeners import UnixListener, open_tcp_listener
from asyncdsm.agent.intake.forward_exporter import is_own_address
from asyncdsm.agent.intake.forwarder import Forwarder
from asyncdsm.agent.store.protocol import UNAVAILABLE, Store
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.errors import OptionError, SettingError
from asyncdsm.settings import Settings

MAINTAIN_SECONDS = 1.0
# How often the store may write, roll up and forget.
GRACE_SECONDS = 1
"""How long a request may still take when the agent ends."""


class RunningAgent(NamedTuple):
    """An agent that listens: its URL, its store, and what watches its rules."""

    url: str
    store: Store
    alerts: AlertWatcher


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: the program that runs the agent decides what a signal means."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        hanging_up = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._hang_up)
        try:
            await super().shutdown(sockets)
        finally:
            hanging_up.cancel()

    def _hang_up(self) -> None:
        for connection in self.server_state.connections:
            connection.transport.abort()


@asynccontextmanager
async def running_agent(
    host: str = "127.0.0.1",
    port: int = 0,
    store: Store | None = None,
    *,
    forward: str | None = None,
    token: str | None = None,
    unix_socket: Path | None = None,
    rules: Path | None = None,
    page_rules: Path | None = None,
) -> AsyncIterator[RunningAgent]:
    """Run the agent inside the block; port 0 takes a free port. A store that is given stays open after the block.

    Rules that are written on the page are kept in the file `page_rules`, or in memory.

    Raises ValueError for a wrong host or token, RulesError for errors in the file of rules, OSError for a port that is
    in use, UnixSocketError for a path where no socket can be created.
    """
    if token is not None:
        check_token(token)
    listener = open_tcp_listener(host, port, token)
    port = listener.getsockname()[1]
    address = f"[{host}]" if ":" in host else host
    try:
        used_store: Store = store if store is not None else await to_thread.run_sync(_open_store_in_memory)
        try:
            forwarder = await to_thread.run_sync(_create_forwarder, forward, port, used_store) if forward else None
            alerts = await to_thread.run_sync(_create_watcher, used_store, rules, page_rules)
            async with (
                _unix_listener(unix_socket) as unix,
                _forwarding(forwarder),
                _watching(alerts),
                _serving(Agent(used_store, forwarder, alerts), used_store, [listener, *unix], token, host),
            ):
                yield RunningAgent(f"http://{address}:{port}", used_store, alerts)
        finally:
            if store is None:
                await to_thread.run_sync(used_store.close)
    finally:
        listener.close()


@asynccontextmanager
async def _unix_listener(path: Path | None) -> AsyncIterator[list[socket.socket]]:
    """Listen on the Unix socket at `path` inside the block; on nothing if it is None."""
    if path is None:
        yield []
        return
    listener = await to_thread.run_sync(UnixListener, path)
    try:
        yield [listener.socket]
    finally:
        with CancelScope(shield=True):
            await to_thread.run_sync(listener.close)


@asynccontextmanager
async def _forwarding(forwarder: Forwarder | None) -> AsyncIterator[None]:
    """Forward payloads inside the block, if the agent does that."""
    if forwarder is None:
        yield
        return
    task = asyncio.create_task(forwarder.run())
    try:
        yield
    finally:
        forwarder.stop()
        await task


@asynccontextmanager
async def _watching(alerts: AlertWatcher) -> AsyncIterator[None]:
    """Evaluate rules inside the block."""
    stop = Event()
    task = asyncio.create_task(alerts.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


@asynccontextmanager
async def _serving(
    agent: Agent, store: Store, listeners: list[socket.socket], token: str | None, host: str
) -> AsyncIterator[None]:
    """Answer HTTP requests and maintain the store inside the block."""
    config = uvicorn.Config(
        agent.app(token, host),
        http=BoundedProtocol,
        ws="none",
        log_config=None,  # the program that runs the agent decides about logging
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=listeners))
    maintaining = asyncio.create_task(_maintain(store))
    try:
        yield
    finally:
        agent.live.close()
        server.should_exit = True
        await serving
        maintaining.cancel()
        with suppress(asyncio.CancelledError):
            await maintaining


async def _maintain(store: Store) -> None:
    """Let the store write, roll up and forget, also when no more payloads come."""
    while True:
        await asyncio.sleep(MAINTAIN_SECONDS)
        try:
            await to_thread.run_sync(store.maintain)
        except UNAVAILABLE as error:
            warn_each_minute("store", "asyncdsm agent cannot write its store, and will try again: %s", error)


def _create_watcher(store: Store, rules: Path | None, page_rules: Path | None) -> AlertWatcher:
    return AlertWatcher(store, rules, PageRules(page_rules))


def _open_store_in_memory() -> Store:
    return SQLiteStore()


def _create_forwarder(url: str, port: int, store: Store) -> Forwarder:
    try:
        settings = Settings(agent_url=url)
    except SettingError:
        raise OptionError(f"--forward must be {ALLOWED}, got {without_password(url)!r}") from None
    if is_own_address(url, port):
        raise OptionError(f"--forward must not be the URL of this agent itself, got {without_password(url)!r}")
    return Forwarder(settings, store)
