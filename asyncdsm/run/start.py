"""What happens at the beginning of every Python process under `asyncdsm run`."""

from __future__ import annotations

from collections.abc import Mapping

from asyncdsm.beside import silence_ddtrace
from asyncdsm.integration import instrument
from asyncdsm.log import warn, warn_once
from asyncdsm.run.imports import when_imported
from asyncdsm.settings import SettingError, Settings
from asyncdsm.streams import DataStreams

CLIENTS = "_ASYNCDSM_RUN_CLIENTS"
"""The environment variable that lists the packages to instrument. Looked up once, when a program is launched: no
process below waits for that."""


def begin(environ: Mapping[str, str]) -> None:
    """Stand by, and instrument each client when it is imported; with DD_DATA_STREAMS_ENABLED=false, nothing."""
    try:
        settings = Settings.from_environ(environ)
    except SettingError as error:
        warn_once("setting", "nothing is measured: %s", str(error))
        return
    if settings.enabled:
        DataStreams(settings).stand_by()
        for name in filter(None, environ.get(CLIENTS, "").split(",")):
            when_imported(name, _imported)


def _imported(name: str) -> None:
    try:
        silence_ddtrace(measuring=False)
        instrument(name)
    except Exception as error:
        warn("%s is not followed: %r", name, error)
