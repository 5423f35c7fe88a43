"""The shipping: packs one invoice after the other."""

from __future__ import annotations

import anyio

from asyncdsm.demo.invoices import incoming
from asyncdsm.demo.service import announce, run_service

PACKING_SECONDS = 0.002


async def work() -> None:
    """Pack what comes."""
    async with incoming() as invoices:
        announce("ready")
        async for _ in invoices:
            await anyio.sleep(PACKING_SECONDS)


if __name__ == "__main__":
    run_service(work)
