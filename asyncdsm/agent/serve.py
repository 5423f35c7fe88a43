"""Runs the agent: as a program with a live table, or inside another one."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import uvicorn
from anyio import to_thread
from rich.console import Console
from rich.live import Live

from asyncdsm.agent.access import OptionError, check_token
from asyncdsm.agent.app import Agent
from asyncdsm.agent.forward import Forwarder, is_here
from asyncdsm.agent.spans import DEFAULT_MINUTES
from asyncdsm.agent.store import KEPT_SECONDS, Store
from asyncdsm.agent.store_file import StoreError
from asyncdsm.agent.table import render
from asyncdsm.agent.topology import topology
from asyncdsm.log import warn_each_minute
from asyncdsm.settings import SettingError, Settings
from asyncdsm.urls import ALLOWED, without_password

MAINTAIN_SECONDS = 10.0
REFRESH_SECONDS = 1.0
GRACE_SECONDS = 1
"""How long a request may still take when the agent ends."""


class RunningAgent(NamedTuple):
    """An agent that listens."""

    url: str
    store: Store


class _Server(uvicorn.Server):
    """Without signal handlers: whoever runs us decides what a signal means."""

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


class Options(NamedTuple):
    """How an agent runs."""

    host: str = "127.0.0.1"
    port: int = 0
    path: Path | None = None
    """The store's file; None keeps everything in memory."""
    kept_seconds: int = KEPT_SECONDS
    forward: str | None = None
    """The URL of an agent that gets every payload too."""
    token: str | None = None
    """What everybody has to show; a must where other machines may ask."""


@asynccontextmanager
async def running_agent(
    host: str = "127.0.0.1",
    port: int = 0,
    store: Store | None = None,
    *,
    forward: str | None = None,
    token: str | None = None,
) -> AsyncIterator[RunningAgent]:
    """Run the agent inside the block; port 0 takes a free one. A store that is given stays open.

    Raises ValueError for a host or a token that cannot be, OSError for a port that is taken.
    """
    if token is not None:
        check_token(token)
    listener = _listener(host, port, token)
    port = listener.getsockname()[1]
    address = f"[{host}]" if ":" in host else host
    try:
        forwarder = await to_thread.run_sync(_forwarder, forward, port) if forward else None
        kept: Store = store if store is not None else await to_thread.run_sync(Store)
        try:
            async with _serving(kept, listener, forwarder, token, host):
                yield RunningAgent(f"http://{address}:{port}", kept)
        finally:
            if store is None:
                await to_thread.run_sync(kept.close)
    finally:
        listener.close()


@asynccontextmanager
async def _serving(
    store: Store, listener: socket.socket, forwarder: Forwarder | None, token: str | None, host: str
) -> AsyncIterator[None]:
    agent = Agent(store, forwarder)
    config = uvicorn.Config(
        agent.app(token, host), log_config=None, lifespan="off", proxy_headers=False, server_header=False
    )  # logging is the host's
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    forwarding = asyncio.create_task(forwarder.run()) if forwarder else None
    maintaining = asyncio.create_task(_maintain(store))
    try:
        yield
    finally:
        agent.live.close()
        server.should_exit = True
        await serving
        maintaining.cancel()
        if forwarder and forwarding:
            forwarder.stop()
            await forwarding
        with suppress(asyncio.CancelledError):
            await maintaining


async def _maintain(store: Store) -> None:
    """Write, roll up and forget in good time where nothing more comes."""
    while True:
        await asyncio.sleep(MAINTAIN_SECONDS)
        try:
            await to_thread.run_sync(store.maintain)
        except sqlite3.Error as error:
            warn_each_minute("store", "the store cannot be written, will be tried again: %s", error)


def _forwarder(url: str, port: int) -> Forwarder:
    try:
        settings = Settings(agent_url=url)
    except SettingError:
        raise OptionError(f"--forward is {without_password(url)!r}; it must be {ALLOWED}") from None
    if is_here(url, port):
        raise OptionError(f"--forward {without_password(url)} leads back to this agent")
    return Forwarder(settings)


def run_agent(options: Options, *, live: bool) -> int:
    """Run the agent until Ctrl-C or SIGTERM; return the exit code. `live` draws the table."""
    try:
        asyncio.run(_run(options, live))
    except (ValueError, OSError) as error:
        cause = "" if isinstance(error, OptionError) else f"cannot listen on {options.host} port {options.port}: "
        print(f"asyncdsm agent: {cause}{error}", file=sys.stderr)
        return 1
    except StoreError as error:
        print(f"asyncdsm agent: cannot use the store {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


async def _run(options: Options, live: bool) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    store = await to_thread.run_sync(lambda: Store(options.path, kept_seconds=options.kept_seconds))
    try:
        where = options.host, options.port
        async with running_agent(*where, store, forward=options.forward, token=options.token) as agent:
            print(f"asyncdsm agent listens on {agent.url}", flush=True)
            if live:
                await _show(agent.store, stop)
            else:
                await stop.wait()
    finally:
        await to_thread.run_sync(store.close)


async def _show(store: Store, stop: asyncio.Event) -> None:
    with Live(console=Console(), auto_refresh=False, transient=False) as screen:
        while not stop.is_set():
            screen.update(render(await asyncio.to_thread(topology, store, DEFAULT_MINUTES)), refresh=True)
            try:
                await asyncio.wait_for(stop.wait(), REFRESH_SECONDS)
            except TimeoutError:
                continue


def _listener(host: str, port: int, token: str | None) -> socket.socket:
    address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    if not (address.is_loopback or token):
        raise ValueError("not a loopback address: other machines are served with a --token only")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    # The protocol by name: asyncio turns off Nagle's algorithm only then, and each answer would take 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((str(address), port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
