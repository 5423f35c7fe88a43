"""What happens at the beginning of every Python process under `asyncdsm run`."""

from __future__ import annotations

from collections.abc import Mapping

from asyncdsm._internal.ddtrace_compat import disable_ddtrace_streams
from asyncdsm._internal.log import warn
from asyncdsm.cli.run.imports import when_imported
from asyncdsm.integration.lifetime import start_standby
from asyncdsm.integration.registry import instrument

CLIENTS = "_ASYNCDSM_RUN_CLIENTS"
"""The environment variable that lists the packages to instrument. Looked up once, when a program is launched: no
process below waits for that."""


def begin(environ: Mapping[str, str]) -> None:
    """Stand by, and instrument each client when it is imported.

    Nothing happens with DD_DATA_STREAMS_ENABLED=false, or, once the error is logged, with a wrong setting.
    """
    if start_standby(environ) is not None:
        for name in filter(None, environ.get(CLIENTS, "").split(",")):
            when_imported(name, _imported)


def _imported(name: str) -> None:
    try:
        disable_ddtrace_streams(measuring=False)
        instrument(name)
    except Exception as error:
        warn("%s is not followed: %r", name, error)
