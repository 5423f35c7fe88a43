"""Measuring from the start of an application to its end, for frameworks and for `asyncdsm run`.

Where a DataStreams runs already, or is started meanwhile, that one measures.
"""

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

    What was recorded is delivered at the end. Where a DataStreams runs, or is started meanwhile, that one measures.
    `app` is what frameworks pass, and is not used. When the environment holds a wrong value, that is logged as an
    error, nothing is measured, and the app runs.
    """
    streams = await start_standby_async()
    try:
        yield
    finally:
        await close_standby(streams)


def start_standby(environ: Mapping[str, str] = os.environ) -> DataStreams | None:
    """Start a DataStreams that stands by, with the settings of the environment, and return it.

    For programs that have no code for their settings. A wrong setting does not stop the program: the error is logged
    once, nothing is measured, and None is returned. With DD_DATA_STREAMS_ENABLED=false, None is returned too.
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


async def start_standby_async() -> DataStreams | None:
    """Start a DataStreams that stands by, with the settings of the environment, and return it. Never raises.

    It measures from the first checkpoint on. None is returned, and the program goes on, if a setting is wrong, which is
    logged as an error, or if DD_DATA_STREAMS_ENABLED is false. The event loop is not blocked: a thread looks for the
    Agent's socket.
    """
    from anyio import CapacityLimiter, to_thread  # noqa: PLC0415  (anyio: not before something starts)

    try:
        return await to_thread.run_sync(start_standby, limiter=CapacityLimiter(1))
    except Exception:  # this event loop is unknown to anyio, or no thread can be started
        return start_standby()


async def close_standby(streams: DataStreams | None) -> None:
    """Stop what `start_standby_async` returned, and deliver what was recorded. Does nothing for None.

    A DataStreams that goes on running delivers what it has so far: the process may end now.
    """
    if streams is None:
        return
    await streams.aclose()
    still_running = running_streams()
    if still_running is not None:
        await still_running.flush()


def close_before_exit() -> None:
    """Deliver what was recorded, in a process that ends now without running exit hooks. Nothing is measured after."""
    streams = running_streams()
    if streams is not None:
        streams.close()
