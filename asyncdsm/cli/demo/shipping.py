"""The service shipping: packs one order after another, and announces each shipment if there is an AWS."""

from __future__ import annotations

import anyio

from asyncdsm.cli.demo import invoices, shipments
from asyncdsm.cli.demo.service import announce, run_service

PACKING_SECONDS = 0.002


async def work() -> None:
    """Pack what was billed."""
    async with shipments.open_shipment_sender() as ship, invoices.open_invoice_receiver() as received:
        announce("ready")
        async for invoice in received:
            await anyio.sleep(PACKING_SECONDS)
            await ship(invoice)


if __name__ == "__main__":
    run_service(work)
