"""Runs the agent: as a program with a live table, or inside another one."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import uvicorn
from anyio import CancelScope, to_thread
from rich.console import Console
from rich.live import Live

from asyncdsm._internal.log import warn_each_minute
from asyncdsm._internal.urls import ALLOWED, without_password
from asyncdsm.agent.http.app import Agent
from asyncdsm.agent.http.authentication import check_token
from asyncdsm.agent.http.connections import BACKLOG, KEEP_ALIVE_SECONDS, BoundedProtocol
from asyncdsm.agent.http.unix_socket import UnixListener
from asyncdsm.agent.intake.forward_exporter import is_own_address
from asyncdsm.agent.intake.forwarder import Forwarder
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.time_ranges import DEFAULT_MINUTES
from asyncdsm.agent.queries.topology import topology
from asyncdsm.agent.store.store import KEPT_SECONDS, Store
from asyncdsm.errors import OptionError, SettingError, StoreError, UnixSocketError
from asyncdsm.map.terminal import MapTable
from asyncdsm.settings import Settings

MAINTAIN_SECONDS = 1.0
# How often the store is asked to do what is due.
REFRESH_SECONDS = 1.0
GRACE_SECONDS = 1
"""How long a request may still take when the agent ends."""
END_SECONDS = 8.0
"""From SIGTERM or Ctrl-C to the end of the process; Docker waits for 10 s."""


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
    unix_socket: Path | None = None
    """Where to listen besides the port."""


@asynccontextmanager
async def running_agent(
    host: str = "127.0.0.1",
    port: int = 0,
    store: Store | None = None,
    *,
    forward: str | None = None,
    token: str | None = None,
    unix_socket: Path | None = None,
) -> AsyncIterator[RunningAgent]:
    """Run the agent inside the block; port 0 takes a free one. A store that is given stays open.

    Raises ValueError for a host or a token that cannot be, OSError for a port that is taken, UnixSocketError for a
    path where no socket can be made.
    """
    if token is not None:
        check_token(token)
    listener = _listener(host, port, token)
    port = listener.getsockname()[1]
    address = f"[{host}]" if ":" in host else host
    try:
        kept: Store = store if store is not None else await to_thread.run_sync(Store)
        try:
            forwarder = await to_thread.run_sync(_forwarder, forward, port, kept) if forward else None
            async with (
                _unix_listener(unix_socket) as unix,
                _serving(kept, [listener, *unix], forwarder, token, host),
            ):
                yield RunningAgent(f"http://{address}:{port}", kept)
        finally:
            if store is None:
                await to_thread.run_sync(kept.close)
    finally:
        listener.close()


@asynccontextmanager
async def _unix_listener(path: Path | None) -> AsyncIterator[list[socket.socket]]:
    """Listen at a path, if there is one, inside the block."""
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
async def _serving(
    store: Store, listeners: list[socket.socket], forwarder: Forwarder | None, token: str | None, host: str
) -> AsyncIterator[None]:
    agent = Agent(store, forwarder)
    config = uvicorn.Config(
        agent.app(token, host),
        http=BoundedProtocol,
        ws="none",
        log_config=None,  # logging is the host's
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=listeners))
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


def _forwarder(url: str, port: int, store: Store) -> Forwarder:
    try:
        settings = Settings(agent_url=url)
    except SettingError:
        raise OptionError(f"--forward is {without_password(url)!r}; it must be {ALLOWED}") from None
    if is_own_address(url, port):
        raise OptionError(f"--forward {without_password(url)} leads back to this agent")
    return Forwarder(settings, store)


def run_agent(options: Options, *, live: bool) -> int:
    """Run the agent until Ctrl-C or SIGTERM; return the exit code. `live` draws the table."""
    ending = threading.Timer(END_SECONDS, _end_now)
    ending.daemon = True
    try:
        asyncio.run(_run(options, live, ending))
    except (ValueError, OSError) as error:
        cause = "" if isinstance(error, OptionError) else f"cannot listen on {options.host} port {options.port}: "
        print(f"asyncdsm agent: {cause}{error}", file=sys.stderr)
        return 1
    except UnixSocketError as error:
        print(f"asyncdsm agent: cannot listen on the Unix socket {error}", file=sys.stderr)
        return 1
    except StoreError as error:
        print(f"asyncdsm agent: cannot use the store {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    finally:
        ending.cancel()
    return 0


async def _run(options: Options, live: bool, ending: threading.Timer) -> None:
    """Run the agent until a signal, which also starts `ending`."""
    stop = asyncio.Event()

    def end() -> None:
        stop.set()
        if not ending.is_alive():
            ending.start()

    for signal_ in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_, end)
    store = await to_thread.run_sync(lambda: Store(options.path, decode=read_report, kept_seconds=options.kept_seconds))
    try:
        async with running_agent(
            options.host,
            options.port,
            store,
            forward=options.forward,
            token=options.token,
            unix_socket=options.unix_socket,
        ) as agent:
            print(f"asyncdsm agent listens on {agent.url}", flush=True)
            if options.unix_socket is not None:
                print(f"asyncdsm agent listens on unix://{options.unix_socket.absolute()}", flush=True)
            if live:
                await _show(agent.store, stop)
            else:
                await stop.wait()
    finally:
        await to_thread.run_sync(store.close)


def _end_now() -> None:
    """End the process, whatever it is doing. A store's file is whole at every moment."""
    print(f"asyncdsm agent: did not end within {END_SECONDS:g} s, and is ended", file=sys.stderr, flush=True)
    os._exit(1)


async def _show(store: Store, stop: asyncio.Event) -> None:
    with Live(console=Console(), auto_refresh=False, transient=False) as screen:
        while not stop.is_set():
            screen.update(MapTable(await asyncio.to_thread(topology, store, DEFAULT_MINUTES)), refresh=True)
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
