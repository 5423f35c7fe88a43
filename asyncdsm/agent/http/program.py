"""`asyncdsm agent`: runs the agent as a program, with a live table in a terminal, until a signal ends it."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
import threading
from pathlib import Path
from typing import NamedTuple

from anyio import to_thread
from rich.console import Console
from rich.live import Live

from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.time_ranges import DEFAULT_MINUTES
from asyncdsm.agent.queries.topology import topology
from asyncdsm.agent.store.clickhouse.address import Address
from asyncdsm.agent.store.limits import KEPT_SECONDS
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.errors import OptionError, RulesError, StoreError, UnixSocketError
from asyncdsm.map.terminal import MapTable

REFRESH_SECONDS = 1.0
# How often the table is drawn again.
END_SECONDS = 8.0
"""From SIGTERM or Ctrl-C to the end of the process at the latest; Docker kills it after 10 s."""


class Options(NamedTuple):
    """How an agent runs."""

    host: str = "127.0.0.1"
    port: int = 0
    store: Path | Address | None = None
    """The store's file, or its ClickHouse; None keeps everything in memory."""
    kept_seconds: int = KEPT_SECONDS
    forward: str | None = None
    """The URL of another agent that every payload is forwarded to."""
    token: str | None = None
    """The token that every client has to send; required if other machines can connect."""
    unix_socket: Path | None = None
    """The path of a Unix socket to listen on, in addition to the port."""
    rules: Path | None = None
    """The file with the rules of alerts."""
    page_rules: Path | None = None
    """The file of the rules that are written on the page; None keeps them in memory."""


def run_agent(options: Options, *, live: bool) -> int:
    """Run the agent until Ctrl-C or SIGTERM; return the exit code. `live` draws the table."""
    deadline = threading.Timer(END_SECONDS, _end_process)
    deadline.daemon = True
    try:
        asyncio.run(_run(options, live, deadline))
    except (ValueError, OSError, UnixSocketError, StoreError) as error:
        print(f"asyncdsm agent: {_explain(error, options)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    finally:
        deadline.cancel()
    return 0


def _explain(error: Exception, options: Options) -> str:
    match error:
        case OptionError() | RulesError():
            return str(error).replace("\n", "\nasyncdsm agent: ")
        case UnixSocketError():
            return f"cannot listen on the Unix socket {error}"
        case StoreError():
            return f"cannot use the store {error}"
        case OSError(errno=errno.EADDRINUSE):
            used = "another program listens there, perhaps another agent; choose another --port"
            return f"cannot listen on {options.host} port {options.port}: {used}"
        case _:
            return f"cannot listen on {options.host} port {options.port}: {getattr(error, 'strerror', None) or error}"


async def _run(options: Options, live: bool, deadline: threading.Timer) -> None:
    """Run the agent until a signal, which also starts the timer `deadline`."""
    stop = asyncio.Event()

    def end() -> None:
        stop.set()
        if not deadline.is_alive():
            deadline.start()

    for signal_ in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_, end)
    store = await to_thread.run_sync(_open_store, options)
    try:
        async with running_agent(
            options.host,
            options.port,
            store,
            forward=options.forward,
            token=options.token,
            unix_socket=options.unix_socket,
            rules=options.rules,
            page_rules=options.page_rules,
        ) as agent:
            if options.rules and not live:  # in a terminal, SIGHUP means that it was closed
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, agent.alerts.reload)
            print(f"asyncdsm agent listens on {agent.url}", flush=True)
            if options.unix_socket is not None:
                print(f"asyncdsm agent listens on unix://{options.unix_socket.absolute()}", flush=True)
            if live:
                await _show_table(agent.store, stop)
            else:
                await stop.wait()
    finally:
        await to_thread.run_sync(store.close)


def _open_store(options: Options) -> Store:
    if not isinstance(options.store, Address):
        return SQLiteStore(options.store, decode=read_report, kept_seconds=options.kept_seconds)
    try:
        from asyncdsm.agent.store.clickhouse.store import ClickHouseStore  # noqa: PLC0415
    except ModuleNotFoundError as error:
        extra = "pip install 'asyncdsm[clickhouse]'"
        raise StoreError(f"{options.store}: {error.name} is not installed: {extra}") from None
    return ClickHouseStore(options.store, kept_seconds=options.kept_seconds)


def _end_process() -> None:
    """End the process, whatever it is doing. A store's file is intact at every moment."""
    print(
        f"asyncdsm agent: ended by force, because it did not end within {END_SECONDS:g} s", file=sys.stderr, flush=True
    )
    os._exit(1)


async def _show_table(store: Store, stop: asyncio.Event) -> None:
    with Live(console=Console(), auto_refresh=False, transient=False) as screen:
        while not stop.is_set():
            screen.update(MapTable(await asyncio.to_thread(topology, store, DEFAULT_MINUTES)), refresh=True)
            try:
                await asyncio.wait_for(stop.wait(), REFRESH_SECONDS)
            except TimeoutError:
                continue
