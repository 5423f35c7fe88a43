"""Measuring for as long as an application lives, whoever else has started to measure."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from asyncdsm._internal.log import error_once
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.errors import SettingError
from asyncdsm.settings import Settings
from asyncdsm.streams import DataStreams, running_streams


@asynccontextmanager
async def lifespan(app: object = None) -> AsyncIterator[None]:
    """Measure while an app lives: `FastAPI(lifespan=asyncdsm.lifespan)`, or `async with` it in a lifespan of your own.

    What was recorded is delivered on the way out. Where a DataStreams runs, or is started meanwhile, that one
    measures. `app` is what frameworks hand over; it is not looked at. When the environment holds a wrong value, that
    is logged as an error, nothing is measured, and the app runs.
    """
    streams = await stand_by_in_loop()
    try:
        yield
    finally:
        if streams is not None:
            await finish(streams)


def stand_by(environ: Mapping[str, str] = os.environ) -> DataStreams | None:
    """Read the settings from the environment, start a DataStreams that stands by, and return it.

    This is how a program starts that has no line of code for its settings. A wrong setting does not stop it: the error
    is logged once, nothing is measured, and None is returned. With DD_DATA_STREAMS_ENABLED=false, None is returned too.
    """
    try:
        settings = Settings.from_environ(environ)
        if not settings.enabled:
            return None
        streams = DataStreams(settings)
        streams.stand_by()
        return streams
    except SettingError as error:
        error_once("setting", "asyncdsm measures nothing, because a setting is wrong: %s", str(error))
    except Exception as error:
        report_hook_error(error)
    return None


async def stand_by_in_loop() -> DataStreams | None:
    """Do what `stand_by` does without blocking the event loop: a worker thread looks for the Agent's socket."""
    from anyio import CapacityLimiter, to_thread  # noqa: PLC0415  (anyio: not before something starts)

    try:
        return await to_thread.run_sync(stand_by, limiter=CapacityLimiter(1))
    except Exception:  # this event loop is unknown to anyio, or no thread can be started
        return stand_by()


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
