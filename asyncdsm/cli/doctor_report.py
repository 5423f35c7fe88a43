"""The report of `asyncdsm doctor` as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def format_report(report: Mapping[str, Any]) -> list[str]:
    """Return the report as lines of text."""
    return [
        f"asyncdsm {report['asyncdsm']}, Python {report['python']}",
        _format_core(report["core"]),
        "",
        "Clients",
        *_client_lines(report),
        "",
        *_setting_lines(report),
        *_agent_lines(report),
        *_otlp_lines(report.get("otlp"), report.get("otlp_off")),
        "",
        "What to do next",
        *(f"  {step}" for step in report["next_steps"]),
    ]


def _format_core(core: Mapping[str, Any]) -> str:
    """Return which core is in use; of the plain one also why."""
    return f"Core: {core['in_use']}" + (f", which is slower: {core['reason']}" if core["reason"] else "")


def _client_lines(report: Mapping[str, Any]) -> Iterator[str]:
    width = max(len(name) for name in ("ddtrace", *(client["name"] for client in report["clients"]))) + 2
    for client in report["clients"]:
        yield f"  {client['name']:{width}}{_format_client(client)}"
    if report["ddtrace"]:
        yield f"  {'ddtrace':{width}}{report['ddtrace']}; asyncdsm turns its Data Streams off, its tracing goes on"


def _format_client(client: Mapping[str, Any]) -> str:
    if client["problem"]:
        return f"{client['installed']}, cannot be instrumented: {client['problem']}"
    if client["instrumented"] == "no":
        return "not installed"
    where = " where it is passed to asyncdsm.wrap" if client["instrumented"] == "where wrapped" else ""
    return f"{client['installed']}, instrumented{where}; tested with {' to '.join(dict.fromkeys(client['tested']))}"


def _setting_lines(report: Mapping[str, Any]) -> Iterator[str]:
    if report["problem"]:
        yield f"Nothing is measured, because a setting is wrong: {report['problem']}"
        return
    yield "Settings"
    shown = {name: _format_value(setting["value"]) for name, setting in report["settings"].items()}
    names, values = (max(map(len, texts)) + 2 for texts in (shown, shown.values()))
    for name, setting in report["settings"].items():
        yield f"  {name:{names}}{shown[name]:{values}}{_format_source(setting)}"


def _format_value(value: object) -> str:
    return "not set" if value is None else str(value)


def _format_source(setting: Mapping[str, Any]) -> str:
    """Return the environment variables that a value comes from; for a default, how to set another value."""
    source, variables = setting["from"], setting["variables"]
    if not variables:
        return f"{source}; only code sets it"
    is_set = any(variable.partition(":")[0] in source for variable in variables)
    return f"from {source}" if is_set else f"{source}; {variables[0]} sets it"


def _agent_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line on the agent, if the settings can be read, after an empty one."""
    if not report["settings"]:
        return
    yield ""
    agent, url = report["agent"], report["settings"]["agent_url"]["value"]
    if agent is None and report["settings"]["enabled"]["value"]:
        return  # metrics go over OTLP instead
    if agent is None:
        yield "DD_DATA_STREAMS_ENABLED is false: nothing is measured, and no message is touched"
        return
    what = "Datadog" if report["settings"]["api_key"]["value"] else "The agent"
    version = f" ({agent['version']})" if agent["version"] else ""
    if not agent["answers"]:
        yield f"{what} at {url} does not answer: {agent['problem']}"
    elif agent["problem"]:
        yield f"{what} at {url} answers, but it refuses what services send: {agent['problem']}"
    elif what == "Datadog":
        yield f"Datadog at {url} answers. Whether it takes the key shows when something is sent"
    else:
        lists = "and lists" if agent["lists_endpoint"] else "but does not list"
        yield f"The agent at {url} answers, {lists} the Data Streams endpoint{version}"


def _otlp_lines(otlp: Mapping[str, Any] | None, why_off: str | None) -> Iterator[str]:
    """Yield a line on the OTLP endpoint, if there is one."""
    if otlp is None:
        if why_off:
            yield f"Nothing is sent to the OTLP endpoint, because {why_off}"
        return
    if not otlp["installed"]:
        yield f"Nothing is sent to the OTLP endpoint {otlp['endpoint']}: the extra `otlp` is not installed"
    elif otlp.get("wrong_setting"):
        yield f"Nothing is sent to the OTLP endpoint {otlp['endpoint']}: {otlp['problem']}"
    elif not otlp["answers"]:
        yield f"The OTLP endpoint {otlp['endpoint']} does not answer: {otlp['problem']}"
    elif otlp["problem"]:
        yield f"The OTLP endpoint {otlp['endpoint']} answers, but it takes no metrics: {otlp['problem']}"
    else:
        yield f"The OTLP endpoint {otlp['endpoint']} takes metrics"
