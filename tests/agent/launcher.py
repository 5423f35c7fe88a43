"""Starts agents by forking, so that a hundred starts take seconds: `python -m tests.agent.launcher STORE`.

For each line it reads, it forks an agent with the store at a path, or at the address of a ClickHouse. The agent prints
its process id and its address.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from asyncdsm.agent.http import server
from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.clickhouse.address import is_address, parse_address
from asyncdsm.agent.store.clickhouse.store import ClickHouseStore
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.sqlite import store as store_module
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import NOW


def open_store(where: str) -> Store:
    """Open a store in which it is always `NOW`."""
    if is_address(where):
        return ClickHouseStore(parse_address(where, {}), now=lambda: NOW)
    return SQLiteStore(Path(where), decode=read_report, now=lambda: NOW)


async def serve(where: str) -> None:
    """Run an agent, which writes what is pending at every opportunity, until it is killed."""
    store_module.FLUSH_SECONDS = server.MAINTAIN_SECONDS = 0.02
    store = await asyncio.to_thread(open_store, where)
    async with running_agent(store=store) as agent:
        say(f"{os.getpid()} {agent.url}")
        await asyncio.sleep(3600)


def say(text: str) -> None:
    """Tell the test."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Start agents until there is nothing more to read."""
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            asyncio.run(serve(sys.argv[1]))
            os._exit(0)
        os.waitpid(child, 0)
        say("ended")


if __name__ == "__main__":
    main()
