"""`asyncdsm doctor`: reports installed clients, the settings in force, and whether the agent answers."""

from __future__ import annotations

import asyncio
import json
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

from asyncdsm._version import __version__
from asyncdsm.errors import SettingError
from asyncdsm.integration.registry import is_installed, list_packages, load_integration
from asyncdsm.settings import Settings, sources

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
        "clients": [_inspect_client(name) for name in sorted(list_packages())],
        "ddtrace": _installed_version("ddtrace"),
        "settings": {},
        "agent": None,
        "problem": None,
    }
    try:
        settings = Settings.from_environ(environ)
    except SettingError as error:
        return {**report, "problem": str(error), "well": False}
    report["settings"] = _list_settings(settings, environ)
    if settings.enabled:
        report["agent"] = _check_agent(settings)
    return {**report, "well": not settings.enabled or report["agent"]["problem"] is None}


def _inspect_client(name: str) -> dict[str, Any]:
    installed = _installed_version(name)
    client = {"name": name, "installed": installed, "tested": None, "followed": "no", "problem": None}
    if installed is None or not is_installed(name):
        return client
    try:
        integration = load_integration(name)
        followed = "where wrapped" if integration.is_wrapped_only else "yes"
        return {**client, "tested": list(integration.versions), "followed": followed}
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
    from_where = sources(environ)
    return {name: {"value": value, "from": from_where.get(name, "default")} for name, value in settings.shown().items()}


def _check_agent(settings: Settings) -> dict[str, Any]:
    from asyncdsm.delivery.exporters.agent import AgentExporter, AgentInfo  # noqa: PLC0415

    exporter = AgentExporter(settings._replace(request_seconds=AGENT_TIMEOUT_SECONDS))

    async def request() -> AgentInfo:
        try:
            return await exporter.request_info()
        finally:
            await exporter.aclose()

    return asyncio.run(request())._asdict()


def format_report(report: Mapping[str, Any]) -> list[str]:
    """Return the report as lines of text."""
    lines = [f"asyncdsm {report['asyncdsm']}, Python {report['python']}", "", "Clients"]
    lines += [f"  {client['name']:18}{_format_client(client)}" for client in report["clients"]]
    if report["ddtrace"]:
        lines.append(f"  {'ddtrace':18}{report['ddtrace']}: asyncdsm turns its Data Streams off")
    if report["problem"]:
        return [*lines, "", f"Nothing is measured: {report['problem']}"]
    lines += ["", "Settings"]
    lines += [f"  {name:18}{setting['value']!s:40}  {setting['from']}" for name, setting in report["settings"].items()]
    return [*lines, "", _format_agent(report)]


def _format_client(client: Mapping[str, Any]) -> str:
    if client["problem"]:
        return f"{client['installed']}, not followed: {client['problem']}"
    if client["followed"] == "no":
        return "not installed"
    followed = "followed if passed to asyncdsm.wrap" if client["followed"] == "where wrapped" else "followed"
    first, last = client["tested"]
    return f"{client['installed']}, {followed}; tested with {first} to {last}"


def _format_agent(report: Mapping[str, Any]) -> str:
    agent, url = report["agent"], report["settings"]["agent_url"]["value"]
    if agent is None:
        return "DD_DATA_STREAMS_ENABLED is false: nothing is measured, no message is touched"
    if not agent["answers"]:
        return f"The agent at {url} does not answer: {agent['problem']}"
    if agent["problem"]:
        return f"The agent at {url} answers, but it refuses what services send: {agent['problem']}"
    lists = "lists" if agent["lists_endpoint"] else "does not list"
    return f"The agent at {url} answers, and {lists} the Data Streams endpoint"
