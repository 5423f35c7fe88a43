"""Measuring for as long as an application lives, whoever else has started to measure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asyncdsm.streams import DataStreams, running_streams


@asynccontextmanager
async def lifespan(app: object = None) -> AsyncIterator[None]:
    """Measure while an app lives: `FastAPI(lifespan=asyncdsm.lifespan)`, or `async with` it in a lifespan of your own.

    What was recorded is delivered on the way out. Where a DataStreams runs, or is started meanwhile, that one
    measures. `app` is what frameworks hand over; it is not looked at. Raises SettingError when the environment holds
    a wrong value.
    """
    streams = DataStreams()
    streams.stand_by()
    try:
        yield
    finally:
        await finish(streams)


async def finish(streams: DataStreams) -> None:
    """Stop what stood by for an app, and deliver; what runs beyond it delivers what it has: the process may end now."""
    await streams.aclose()
    beyond = running_streams()
    if beyond is not None:
        await beyond.flush()


def finish_process() -> None:
    """Deliver what was recorded, in a process without exit hooks that ends now; what comes after is not measured."""
    streams = running_streams()
    if streams is not None:
        streams.close()
