"""The mailing: tells customers what was shipped, where there is an AWS."""

from __future__ import annotations

import anyio

from asyncdsm.cli.demo.service import announce, run_service
from asyncdsm.cli.demo.shipments import incoming

WRITING_SECONDS = 0.002


async def work() -> None:
    """Write one mail after the other."""
    async with incoming() as mails:
        announce("ready")
        async for _ in mails:
            await anyio.sleep(WRITING_SECONDS)


if __name__ == "__main__":
    run_service(work)
