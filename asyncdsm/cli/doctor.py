"""`asyncdsm doctor`: reports the installed clients, the settings, whether the agent answers, and what to do next."""

from __future__ import annotations

import asyncio
import json
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

from asyncdsm._internal.otlp_environment import DEFAULT_ENDPOINT, explain_exclusion, is_extra_installed
from asyncdsm._internal.otlp_kinds import OTLP_URL
from asyncdsm._version import __version__
from asyncdsm.cli.doctor_report import format_report
from asyncdsm.cli.installed_core import inspect_core
from asyncdsm.cli.next_steps import list_next_steps
from asyncdsm.errors import SettingError
from asyncdsm.integration.registry import is_installed, list_packages, load_integration
from asyncdsm.settings import SETTINGS, Settings, sources

AGENT_TIMEOUT_SECONDS = 3.0


def run_doctor(environ: Mapping[str, str], *, as_json: bool) -> int:
    """Print the report. Returns the exit code: 0, or 1 if what is measured could not be delivered."""
    report = collect_report(environ)
    print(json.dumps(report, indent=1) if as_json else "\n".join(format_report(report)))
    return 0 if report["well"] else 1


def collect_report(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the report as data that JSON can represent. It contains no secrets."""
    report: dict[str, Any] = {
        "asyncdsm": __version__,
        "python": platform.python_version(),
        "core": inspect_core(environ),
        "clients": [_inspect_client(name) for name in sorted(list_packages())],
        "ddtrace": _installed_version("ddtrace"),
        "settings": {},
        "agent": None,
        "otlp": None,
        "otlp_off": None,
        "problem": None,
        "wrong_setting": None,
        "well": False,
    }
    try:
        settings = Settings.from_environ(environ)
    except SettingError as error:
        report |= {"problem": str(error), "wrong_setting": error.name}
    else:
        checks = _check_destinations(settings) if settings.enabled else {}
        well = all(check["problem"] is None for check in checks.values())
        report |= {"settings": _list_settings(settings, environ), **checks, "well": well}
        report["otlp_off"] = explain_exclusion(environ) if settings.enabled and is_extra_installed() else None
    return {**report, "next_steps": list_next_steps(report)}


def _inspect_client(name: str) -> dict[str, Any]:
    installed = _installed_version(name)
    client = {"name": name, "installed": installed, "tested": None, "instrumented": "no", "problem": None}
    is_within_another = "." in name  # as Google's are: no distribution is known by this name, the client says it
    if not is_installed(name) or (installed is None and not is_within_another):
        return client
    try:
        integration = load_integration(name)
        if is_within_another:
            client["installed"] = integration.installed_version()
        instrumented = "where wrapped" if integration.is_wrapped_only else "yes"
        return {**client, "tested": list(integration.versions), "instrumented": instrumented}
    except Exception as error:
        return {**client, "problem": repr(error)}


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()  # slow: it reads the file list of every installed distribution


def _installed_version(package: str) -> str | None:
    """Return the version of the distribution that contains a package, None if it is not installed."""
    for distribution in _distributions().get(package, []):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return None


def _list_settings(settings: Settings, environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return what each setting is, where that comes from, and which environment variables set it."""
    from_where = {"hostname": "the system", **sources(environ)}
    return {
        name: {"value": value, "from": from_where.get(name, "default"), "variables": list(SETTINGS[name].variables)}
        for name, value in settings.shown().items()
    }


def _check_destinations(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the answers of those that get payloads. Without the extra for OTLP, the agent does."""
    chosen = settings.choose_destinations()
    checks = {}
    if "agent" in chosen or not is_extra_installed():
        checks["agent"] = _check_agent(settings)
    if "otlp" in chosen:
        checks["otlp"] = _check_otlp(settings)
    return checks


def _check_otlp(settings: Settings) -> dict[str, Any]:
    endpoint = settings.otlp_endpoint or DEFAULT_ENDPOINT
    found: dict[str, Any] = {"endpoint": OTLP_URL.show(endpoint), "installed": is_extra_installed()}
    if not found["installed"]:
        return {**found, "answers": False, "problem": None}
    from asyncdsm.delivery.otlp.exporter import EndpointCheck, OtlpExporter  # noqa: PLC0415

    async def check() -> EndpointCheck:
        exporter = OtlpExporter(settings._replace(otlp_seconds=AGENT_TIMEOUT_SECONDS))
        try:
            return await exporter.check()
        finally:
            await exporter.aclose()

    try:
        return {**found, **asyncio.run(check())._asdict()}
    except SettingError as error:  # its certificates cannot be read
        return {**found, "answers": False, "problem": str(error), "status": None, "wrong_setting": error.name}


def _check_agent(settings: Settings) -> dict[str, Any]:
    from asyncdsm.delivery.exporters.agent import AgentExporter, AgentInfo  # noqa: PLC0415

    exporter = AgentExporter(settings._replace(request_seconds=AGENT_TIMEOUT_SECONDS))

    async def request() -> AgentInfo:
        try:
            return await exporter.request_info()
        finally:
            await exporter.aclose()

    return asyncio.run(request())._asdict()
