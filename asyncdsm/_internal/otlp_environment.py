"""How the environment variables of OpenTelemetry's exporters choose and describe the delivery over OTLP.

The variables are those of OpenTelemetry's specification. They count only where OTLP is on: a program that sends its
traces with other settings than these is not disturbed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from asyncdsm._internal.environment import find_agent_url, first_text, read_text
from asyncdsm._internal.otlp_kinds import DESTINATIONS, OTLP, OTLP_URL
from asyncdsm._internal.setting_kinds import Kind
from asyncdsm.errors import SettingError

Environ = Mapping[str, str]
SocketExists = Callable[[str], bool]

DESTINATIONS_VARIABLE = "ASYNCDSM_DESTINATIONS"
METRICS_ENDPOINT, BASE_ENDPOINT = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
EXPORTER_VARIABLE, DISABLED_VARIABLE = "OTEL_METRICS_EXPORTER", "OTEL_SDK_DISABLED"
METRICS_PATH = "/v1/metrics"
DEFAULT_ENDPOINT = f"http://localhost:4318{METRICS_PATH}"


@cache
def is_extra_installed() -> bool:
    """Return whether the extra `otlp` is installed: the package `opentelemetry-proto`."""
    from importlib.util import find_spec  # noqa: PLC0415

    try:
        return find_spec("opentelemetry.proto.metrics") is not None
    except ModuleNotFoundError:  # there is no package `opentelemetry` at all
        return False


def specific_variables(*names: str) -> tuple[str, ...]:
    """Return the variables of these names in the order in which they win: that for metrics before the general one."""
    return tuple(f"OTEL_EXPORTER_OTLP_{signal}{name}" for name in names for signal in ("METRICS_", ""))


def find_endpoint(environ: Environ, _: SocketExists) -> tuple[str, str] | None:
    """Return the URL that metrics are posted to, and its variable; None if there is none or metrics go elsewhere.

    The base URL gets the path `/v1/metrics`, that for metrics is used as it is. Raises SettingError, unless the extra
    is missing: then nothing is sent there anyway.
    """
    found = first_text(environ, (METRICS_ENDPOINT, BASE_ENDPOINT))
    if found is None or find_exclusion(environ):
        return None
    url, variable = found
    try:
        checked = OTLP_URL.parse(variable, url)
    except SettingError:
        if is_extra_installed():
            raise
        return None
    return checked if variable == METRICS_ENDPOINT else checked.rstrip("/") + METRICS_PATH, variable


def find_destinations(environ: Environ, socket_exists: SocketExists) -> tuple[tuple[str, ...], str] | None:
    """Return where payloads go, and what says so; None if nothing does. Raises SettingError.

    An endpoint for OTLP alone is used instead of the Agent; with an address of the Agent, both are used.
    """
    if text := read_text(environ, DESTINATIONS_VARIABLE):
        return DESTINATIONS.parse(DESTINATIONS_VARIABLE, text), DESTINATIONS_VARIABLE
    endpoint = find_endpoint(environ, socket_exists)
    if endpoint is None or not is_extra_installed():
        return None
    agent = find_agent_url(environ, socket_exists)
    return (("otlp",), endpoint[1]) if agent is None else (("agent", "otlp"), f"{agent[1]}, {endpoint[1]}")


def find_where_on(kind: Kind, *variables: str) -> Callable[[Environ, SocketExists], tuple[Any, str] | None]:
    """Return a function that reads a setting of OTLP where that is on, so that no other program gets its errors."""

    def find(environ: Environ, socket_exists: SocketExists) -> tuple[Any, str] | None:
        destinations = find_destinations(environ, socket_exists)
        if destinations is None or "otlp" not in destinations[0]:
            return None
        found = first_text(environ, variables)
        return None if found is None else (kind.parse(found[1], found[0]), found[1])

    return find


def find_exclusion(environ: Environ) -> str | None:
    """Return the variable that keeps metrics from going over OTLP, whatever the endpoint is; None if none does.

    asyncdsm's own variable wins. OpenTelemetry's are read as its specification has it: the exporters in any case, and
    only the word `true` disables its SDK, and with that what is sent as if by one. Raises SettingError.
    """
    if text := read_text(environ, DESTINATIONS_VARIABLE):
        has_otlp = OTLP in DESTINATIONS.parse(DESTINATIONS_VARIABLE, text)
        return None if has_otlp else DESTINATIONS_VARIABLE
    if environ.get(DISABLED_VARIABLE, "").strip().lower() == "true":
        return DISABLED_VARIABLE
    exporters = {name.strip().lower() for name in environ.get(EXPORTER_VARIABLE, "").split(",")} - {""}
    return EXPORTER_VARIABLE if exporters and OTLP not in exporters else None


def explain_exclusion(environ: Environ) -> str | None:
    """Return why nothing goes to the endpoint that is set, such as `OTEL_SDK_DISABLED is true`; None if that is on."""
    variable = find_exclusion(environ)
    if variable is None or first_text(environ, (METRICS_ENDPOINT, BASE_ENDPOINT)) is None:
        return None
    return f"{variable} is {environ[variable].strip()}"
