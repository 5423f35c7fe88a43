"""`asyncdsm doctor`: what is installed and followed, what is set and by what, whether the agent takes what is sent."""

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

PATIENCE_SECONDS = 3.0


def examine(environ: Mapping[str, str], *, as_json: bool) -> int:
    """Print what is found; return 0, or 1 when what is measured could not be delivered as things stand."""
    found = findings(environ)
    print(json.dumps(found, indent=1) if as_json else "\n".join(told(found)))
    return 0 if found["well"] else 1


def findings(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return all that is to be said, as plain data."""
    found: dict[str, Any] = {
        "asyncdsm": __version__,
        "python": platform.python_version(),
        "clients": [_client(name) for name in sorted(list_packages())],
        "ddtrace": _version_of("ddtrace"),
        "settings": {},
        "agent": None,
        "problem": None,
    }
    try:
        settings = Settings.from_environ(environ)
    except SettingError as error:
        return {**found, "problem": str(error), "well": False}
    found["settings"] = _settings(settings, environ)
    if settings.enabled:
        found["agent"] = _agent(settings)
    return {**found, "well": not settings.enabled or found["agent"]["problem"] is None}


def _client(name: str) -> dict[str, Any]:
    installed = _version_of(name)
    found = {"name": name, "installed": installed, "tested": None, "followed": "no", "problem": None}
    if installed is None or not is_installed(name):
        return found
    try:
        integration = load_integration(name)
        followed = "where wrapped" if integration.is_wrapped_only else "yes"
        return {**found, "tested": list(integration.versions), "followed": followed}
    except Exception as error:
        return {**found, "problem": repr(error)}


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()  # it reads the files of every distribution there is


def _version_of(package: str) -> str | None:
    """Return the version of the distribution that brings a package."""
    for distribution in _distributions().get(package, []):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return None


def _settings(settings: Settings, environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    from_where = sources(environ)
    return {name: {"value": value, "from": from_where.get(name, "default")} for name, value in settings.shown().items()}


def _agent(settings: Settings) -> dict[str, Any]:
    from asyncdsm.delivery.exporters.agent import AgentExporter, Info  # noqa: PLC0415

    exporter = AgentExporter(settings._replace(request_seconds=PATIENCE_SECONDS))

    async def ask() -> Info:
        try:
            return await exporter.ask()
        finally:
            await exporter.aclose()

    return asyncio.run(ask())._asdict()


def told(found: Mapping[str, Any]) -> list[str]:
    """Return the findings in words, line by line."""
    lines = [f"asyncdsm {found['asyncdsm']}, Python {found['python']}", "", "Clients"]
    lines += [f"  {client['name']:18}{_client_told(client)}" for client in found["clients"]]
    if found["ddtrace"]:
        lines.append(f"  {'ddtrace':18}{found['ddtrace']}: its Data Streams is turned off where asyncdsm runs")
    if found["problem"]:
        return [*lines, "", f"Nothing is measured: {found['problem']}"]
    lines += ["", "Settings"]
    lines += [f"  {name:18}{setting['value']!s:40}  {setting['from']}" for name, setting in found["settings"].items()]
    return [*lines, "", _agent_told(found)]


def _client_told(client: Mapping[str, Any]) -> str:
    if client["problem"]:
        return f"{client['installed']}, not followed: {client['problem']}"
    if client["followed"] == "no":
        return "not installed"
    followed = "followed where it is wrapped" if client["followed"] == "where wrapped" else "followed"
    first, last = client["tested"]
    return f"{client['installed']}, {followed}; tested with {first} to {last}"


def _agent_told(found: Mapping[str, Any]) -> str:
    agent, url = found["agent"], found["settings"]["agent_url"]["value"]
    if agent is None:
        return "DD_DATA_STREAMS_ENABLED is false: nothing is measured, no message is touched"
    if not agent["answers"]:
        return f"The agent at {url} does not answer: {agent['problem']}"
    if agent["problem"]:
        return f"The agent at {url} answers, but it refuses what services send: {agent['problem']}"
    lists = "lists" if agent["lists_endpoint"] else "does not list"
    return f"The agent at {url} answers, and {lists} the Data Streams endpoint"
