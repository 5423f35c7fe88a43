"""Starts agents by forking, so that a hundred starts take seconds: `python -m tests.agent.launcher PATH`.

For each line it reads, it forks an agent with the store at PATH, which prints its process id and its address.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from asyncdsm.agent.http import server
from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.sqlite import store as store_module
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import NOW


async def serve(path: Path) -> None:
    """Run an agent, which writes what is pending at every opportunity, until it is killed."""
    store_module.FLUSH_SECONDS = server.MAINTAIN_SECONDS = 0.02
    store = await asyncio.to_thread(lambda: SQLiteStore(path, decode=read_report, now=lambda: NOW))
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
            asyncio.run(serve(Path(sys.argv[1])))
            os._exit(0)
        os.waitpid(child, 0)
        say("ended")


if __name__ == "__main__":
    main()
