"""What `asyncdsm run` does at the start of every Python process of the program: it instruments the clients."""

from __future__ import annotations

from collections.abc import Mapping

from asyncdsm._internal.ddtrace_compat import disable_ddtrace_streams
from asyncdsm._internal.log import warn
from asyncdsm.cli.run.import_hook import call_after_import
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.ddtrace_manual import take_over_from_ddtrace
from asyncdsm.integration.lifetime import start_standby
from asyncdsm.integration.registry import instrument

CLIENTS = "_ASYNCDSM_RUN_CLIENTS"
"""The environment variable that lists the packages to instrument, with commas in between.

Listing the integrations takes time, so `launch` does it once for all processes of the program.
"""


def start_following(environ: Mapping[str, str]) -> None:
    """Prepare to measure, and instrument each client when it is imported.

    Does nothing if DD_DATA_STREAMS_ENABLED is false; only logs the error if a setting is wrong.
    """
    if start_standby(environ) is not None:
        for name in filter(None, environ.get(CLIENTS, "").split(",")):
            call_after_import(name, _instrument_client)
        call_after_import("ddtrace.data_streams", _record_manual_checkpoints)


def _record_manual_checkpoints(_: str) -> None:
    """Record the manual checkpoints of ddtrace: a program that has no others would never make asyncdsm start."""
    try:
        take_over_from_ddtrace(measuring=False)
    except Exception as error:
        report_hook_error(error)


def _instrument_client(name: str) -> None:
    try:
        disable_ddtrace_streams(measuring=False)
        instrument(name)
    except Exception as error:
        warn("asyncdsm could not instrument %s: %r", name, error)
