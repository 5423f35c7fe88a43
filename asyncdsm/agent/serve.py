"""Runs the agent: as a program with a live table, or inside another one."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

import uvicorn
from rich.console import Console
from rich.live import Live

from asyncdsm.agent.app import DEFAULT_MINUTES, create_app
from asyncdsm.agent.store import Store
from asyncdsm.agent.table import render
from asyncdsm.agent.topology import topology

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


@asynccontextmanager
async def running_agent(
    host: str = "127.0.0.1", port: int = 0, store: Store | None = None
) -> AsyncIterator[RunningAgent]:
    """Run the agent inside the block; port 0 takes a free one.

    Raises ValueError for a host that is not a loopback address, OSError for a port that is taken.
    """
    store = store or Store()
    listener = _listener(host, port)
    config = uvicorn.Config(create_app(store), log_config=None, lifespan="off")  # logging is the host's
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    address = f"[{host}]" if ":" in host else host
    try:
        yield RunningAgent(f"http://{address}:{listener.getsockname()[1]}", store)
    finally:
        server.should_exit = True
        await serving
        listener.close()


def run_agent(host: str, port: int, *, live: bool) -> int:
    """Run the agent until Ctrl-C or SIGTERM; return the exit code. `live` draws the table."""
    try:
        asyncio.run(_run(host, port, live))
    except (ValueError, OSError) as error:
        print(f"asyncdsm agent: cannot listen on {host} port {port}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


async def _run(host: str, port: int, live: bool) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running_agent(host, port) as agent:
        print(f"asyncdsm agent listens on {agent.url}", flush=True)
        if live:
            await _show(agent.store, stop)
        else:
            await stop.wait()


async def _show(store: Store, stop: asyncio.Event) -> None:
    with Live(console=Console(), auto_refresh=False, transient=False) as screen:
        while not stop.is_set():
            screen.update(render(await asyncio.to_thread(topology, store, DEFAULT_MINUTES)), refresh=True)
            try:
                await asyncio.wait_for(stop.wait(), REFRESH_SECONDS)
            except TimeoutError:
                continue


def _listener(host: str, port: int) -> socket.socket:
    address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    if not address.is_loopback:
        raise ValueError("not a loopback address; this version serves its own machine only")
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
