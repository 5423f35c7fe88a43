"""The shipping: packs one invoice after the other, and says so where somebody listens."""

from __future__ import annotations

import anyio

from asyncdsm.cli.demo import invoices, shipments
from asyncdsm.cli.demo.service import announce, run_service

PACKING_SECONDS = 0.002


async def work() -> None:
    """Pack what comes."""
    async with shipments.outgoing() as ship, invoices.incoming() as received:
        announce("ready")
        async for invoice in received:
            await anyio.sleep(PACKING_SECONDS)
            await ship(invoice)


if __name__ == "__main__":
    run_service(work)
