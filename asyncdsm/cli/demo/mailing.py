"""The service mailing: writes a mail for each shipment, if there is an AWS."""

from __future__ import annotations

import anyio

from asyncdsm.cli.demo.service import announce, run_service
from asyncdsm.cli.demo.shipments import open_shipment_receiver

WRITING_SECONDS = 0.002


async def work() -> None:
    """Write the mails one after another."""
    async with open_shipment_receiver() as mails:
        announce("ready")
        async for _ in mails:
            await anyio.sleep(WRITING_SECONDS)


if __name__ == "__main__":
    run_service(work)
