"""What to do next, after the report of `asyncdsm doctor`: how to mend what is wrong, else how to begin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, metadata
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from asyncdsm.settings import DEFAULT_SERVICE

OWN_PACKAGES = {"httpx2", "starlette"}
"""Clients that asyncdsm itself is built on: that they are installed says nothing about the program."""
NO_CLIENTS = {"agent", "all", "asgi", "demo", "httpx", "otlp"}
"""Extras that install no message client."""
UNAUTHORIZED, FORBIDDEN, TOO_LARGE, TOO_MANY, SERVER_ERROR = 401, 403, 413, 429, 500
REDIRECTS = range(300, 400)


def list_next_steps(report: Mapping[str, Any]) -> list[str]:
    """Return what to do, a sentence each, given all of the report but this list. There is at least one."""
    steps = [*_steps_for_clients(report["clients"]), *_steps_for_settings(report)]
    agent = report["agent"]
    if agent is not None:
        steps += _steps_for_agent(report)
    steps += _steps_for_otlp(report.get("otlp"), report["settings"])
    if not steps:
        steps.append("Nothing is wrong. Start your program by `asyncdsm run`, or a DataStreams in its code")
    if agent is not None and str(agent["version"]).startswith("asyncdsm"):
        steps.append(f"The map is at {report['settings']['agent_url']['value']}")
    return steps


def _steps_for_clients(clients: list[Mapping[str, Any]]) -> Iterator[str]:
    if not any(client["installed"] for client in clients if client["name"] not in OWN_PACKAGES):
        yield f"Install a message client: pip install 'asyncdsm[EXTRA]', where EXTRA is one of {_list_extras()}"
    for client in clients:
        if client["problem"]:
            yield f"Update asyncdsm or {client['name']}: these two versions do not fit together"


def _list_extras() -> str:
    try:
        extras = metadata("asyncdsm").get_all("Provides-Extra") or []
    except PackageNotFoundError:  # run from a folder that was not installed
        extras = []
    return ", ".join(sorted(set(extras) - NO_CLIENTS)) or "aiokafka, aio-pika, celery"


def _steps_for_settings(report: Mapping[str, Any]) -> Iterator[str]:
    settings = report["settings"]
    if report["wrong_setting"]:
        yield f"Correct {report['wrong_setting']}, or unset it"
    elif not settings["enabled"]["value"]:
        yield "To measure, set DD_DATA_STREAMS_ENABLED to true, or unset it"
    elif settings["service"]["value"] == DEFAULT_SERVICE:
        yield f"Set DD_SERVICE to the name of this service: without one, the map calls it {DEFAULT_SERVICE}"


def _steps_for_agent(report: Mapping[str, Any]) -> Iterator[str]:
    agent, settings = report["agent"], report["settings"]
    if not agent["answers"]:
        yield from _steps_without_answer(settings)
    elif agent["status"] == UNAUTHORIZED:
        yield _step_for_token(settings)
    elif agent["status"] == FORBIDDEN:
        yield "Address the agent as localhost, or by its IP address or host name, or start it with --token"
    elif (agent["status"] or 0) >= SERVER_ERROR:
        yield "Look into the agent's log, or into that of the proxy before it: it answers, but not as it should"
    elif not agent["lists_endpoint"] and not settings["api_key"]["value"]:
        variable = _url_variable(settings)
        yield f"Check {variable}: an agent is `asyncdsm agent`, or a Datadog Agent of version 7.34 or newer"


def _steps_for_otlp(otlp: Mapping[str, Any] | None, settings: Mapping[str, Any]) -> Iterator[str]:
    if otlp is None:
        return
    if not otlp["installed"]:
        yield f"To send metrics to {otlp['endpoint']}: pip install 'asyncdsm[otlp]'"
    elif otlp.get("wrong_setting"):
        yield f"Correct {settings[otlp['wrong_setting']]['from']}: it names a file"
    elif otlp.get("hint"):
        yield otlp["hint"][0].upper() + otlp["hint"][1:]
    elif not otlp["answers"]:
        yield "Check OTEL_EXPORTER_OTLP_ENDPOINT: OTLP over HTTP has port 4318, where 4317 is gRPC, which is not spoken"
    elif otlp["problem"]:
        yield _step_for_status(otlp["status"])


def _step_for_status(status: int) -> str:
    if status in {UNAUTHORIZED, FORBIDDEN}:
        return "Correct OTEL_EXPORTER_OTLP_HEADERS: the OTLP endpoint needs a key, or another one"
    if status == TOO_LARGE:
        return "Raise the limit of the OTLP receiver, or of the proxy before it: it refuses even an empty request"
    if status in REDIRECTS:
        return "Set OTEL_EXPORTER_OTLP_ENDPOINT to where it redirects to, often the same with https: none is followed"
    if status == TOO_MANY or status >= SERVER_ERROR:
        return "Look into the log of the OTLP receiver, or of the proxy before it: your settings have led there"
    return "Check the path of the OTLP endpoint: OTEL_EXPORTER_OTLP_ENDPOINT gets /v1/metrics, that for METRICS nothing"


def _step_for_token(settings: Mapping[str, Any]) -> str:
    if "@" in settings["agent_url"]["value"]:
        return f"Correct the password in {settings['agent_url']['from']}: it must be the token of the agent"
    verb = "Correct" if settings["agent_token"]["value"] else "Set"
    return f"{verb} ASYNCDSM_AGENT_TOKEN: it must be the token that the agent was started with"


def _steps_without_answer(settings: Mapping[str, Any]) -> Iterator[str]:
    parts = urlsplit(settings["agent_url"]["value"])
    if settings["api_key"]["value"]:
        yield f"Check DD_SITE, and whether this machine reaches {parts.hostname}"
    elif command := _agent_command(parts):
        install = "" if find_spec("uvicorn") else " (after pip install 'asyncdsm[agent]')"
        yield f"Start an agent on this machine: {command}{install}"
        yield "Or set DD_TRACE_AGENT_URL to the URL of another agent; in a container, localhost is the container itself"
    else:
        yield f"Check whether an agent runs there and this machine can reach it, or correct {_url_variable(settings)}"


def _url_variable(settings: Mapping[str, Any]) -> str:
    """Return the variable that gives the agent's address, or the one that would."""
    source = str(settings["agent_url"]["from"])
    return source if source.startswith("DD_") else "DD_TRACE_AGENT_URL"


def _agent_command(url: SplitResult) -> str:
    """Return the command that starts an agent at this URL, an empty string if it is not on this machine."""
    if url.scheme == "unix":
        return f"asyncdsm agent --unix-socket {url.path}"
    if url.scheme != "http" or not _is_loopback(url.hostname or ""):
        return ""
    return "asyncdsm agent" + (f" --port {url.port}" if url.port != 8126 else "")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
