"""What `asyncdsm doctor` says to do next: one case for each cause."""

from __future__ import annotations

from typing import Any

import pytest

from asyncdsm.cli.doctor_report import format_report
from asyncdsm.cli.next_steps import list_next_steps
from asyncdsm.settings import DEFAULT_SERVICE

WELL = {"answers": True, "lists_endpoint": True, "problem": None, "status": 200, "version": None}
ABSENT = {**WELL, "answers": False, "lists_endpoint": False, "problem": "ConnectError", "status": None}


def client(name: str, *, installed: str | None = "1.0", problem: str | None = None) -> dict[str, Any]:
    instrumented = "yes" if installed and not problem else "no"
    return {
        "name": name,
        "installed": installed,
        "tested": ["1.0", "1.0"],
        "instrumented": instrumented,
        "problem": problem,
    }


def report(
    *clients: dict[str, Any],
    agent: dict[str, Any] | None = None,
    url: tuple[str, str] = ("http://localhost:8126", "default"),
    token: str | None = None,
    **settings: Any,
) -> dict[str, Any]:
    values = {"enabled": True, "service": "shop", "api_key": None, "agent_token": token, **settings}
    listed = {name: {"value": value, "from": "default", "variables": []} for name, value in values.items()}
    listed["agent_url"] = {"value": url[0], "from": url[1], "variables": ["DD_TRACE_AGENT_URL"]}
    return {
        "asyncdsm": "1",
        "python": "3",
        "core": {"in_use": "native", "reason": None},
        "clients": list(clients or (client("aiokafka"),)),
        "ddtrace": None,
        "settings": listed,
        "agent": agent or WELL,
        "problem": None,
        "wrong_setting": None,
    }


def test_report_without_a_problem_says_how_to_begin() -> None:
    assert list_next_steps(report()) == [
        "Nothing is wrong. Start your program by `asyncdsm run`, or a DataStreams in its code"
    ]


def test_map_of_the_own_agent_is_named() -> None:
    steps = list_next_steps(report(agent={**WELL, "version": "asyncdsm-0.1.0"}))
    assert steps[-1] == "The map is at http://localhost:8126"


@pytest.mark.parametrize("own", ["httpx2", "starlette"])
def test_missing_client_is_named_with_the_extras(own: str) -> None:
    (step,) = list_next_steps(report(client(own), client("aiokafka", installed=None)))
    assert step.startswith("Install a message client: pip install 'asyncdsm[EXTRA]', where EXTRA is one of aio-pika, ")
    assert "aiokafka" in step
    assert "demo" not in step


def test_client_that_cannot_be_instrumented_is_named() -> None:
    (step,) = list_next_steps(report(client("aiokafka", problem="ImportError('x')")))
    assert "aiokafka" in step


def test_service_without_a_name_gets_one() -> None:
    (step,) = list_next_steps(report(service=DEFAULT_SERVICE))
    assert step.startswith("Set DD_SERVICE to")


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("http://localhost:8126", "asyncdsm agent"),
        ("http://127.0.0.1:9000", "asyncdsm agent --port 9000"),
        ("http://[::1]:8126", "asyncdsm agent"),
        ("unix:///var/run/datadog/apm.socket", "asyncdsm agent --unix-socket /var/run/datadog/apm.socket"),
    ],
)
def test_absent_agent_of_this_machine_is_to_be_started(url: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = list_next_steps(report(agent=ABSENT, url=(url, "default")))
    assert first == f"Start an agent on this machine: {command}"
    assert second.startswith("Or set DD_TRACE_AGENT_URL to")
    monkeypatch.setattr("asyncdsm.cli.next_steps.find_spec", lambda name: None)
    assert list_next_steps(report(agent=ABSENT))[0].endswith("(after pip install 'asyncdsm[agent]')")


@pytest.mark.parametrize(
    ("source", "variable"), [("DD_AGENT_HOST", "DD_AGENT_HOST"), ("default", "DD_TRACE_AGENT_URL")]
)
def test_absent_agent_of_another_machine_is_to_be_checked(source: str, variable: str) -> None:
    (step,) = list_next_steps(report(agent=ABSENT, url=("http://agent:8126", source)))
    assert step.endswith(f"or correct {variable}")


def test_absent_datadog_is_a_question_of_its_site() -> None:
    (step,) = list_next_steps(report(agent=ABSENT, url=("https://trace.agent.nowhere", "DD_SITE"), api_key="…"))
    assert step == "Check DD_SITE, and whether this machine reaches trace.agent.nowhere"


@pytest.mark.parametrize(
    ("token", "url", "step"),
    [
        (None, "http://agent:8126", "Set ASYNCDSM_AGENT_TOKEN: it must be the token that the agent was started with"),
        (
            "…",
            "http://agent:8126",
            "Correct ASYNCDSM_AGENT_TOKEN: it must be the token that the agent was started with",
        ),
        (None, "http://…@agent:8126", "Correct the password in DD_TRACE_AGENT_URL: it must be the token of the agent"),
    ],
)
def test_token_that_is_missing_or_wrong_is_named_with_its_variable(token: str | None, url: str, step: str) -> None:
    refused = {**WELL, "lists_endpoint": False, "status": 401, "problem": "HTTP status 401"}
    assert list_next_steps(report(agent=refused, url=(url, "DD_TRACE_AGENT_URL"), token=token)) == [step]


def test_agent_that_refuses_the_host_name_is_to_be_addressed_otherwise() -> None:
    refused = {**WELL, "lists_endpoint": False, "status": 403, "problem": "HTTP status 403"}
    (step,) = list_next_steps(report(agent=refused))
    assert step.startswith("Address the agent as localhost")


def test_server_without_the_endpoint_is_perhaps_no_agent() -> None:
    (step,) = list_next_steps(report(agent={**WELL, "lists_endpoint": False}))
    assert step.startswith("Check DD_TRACE_AGENT_URL")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (report(), "The agent at http://localhost:8126 answers, and lists the Data Streams endpoint"),
        (
            report(agent={**WELL, "version": "7.60.1", "lists_endpoint": False}),
            "The agent at http://localhost:8126 answers, but does not list the Data Streams endpoint (7.60.1)",
        ),
        (
            report(agent={**WELL, "problem": "HTTP status 401"}),
            "The agent at http://localhost:8126 answers, but it refuses what services send: HTTP status 401",
        ),
        (
            report(api_key="…"),
            "Datadog at http://localhost:8126 answers. Whether it takes the key shows when something is sent",
        ),
    ],
)
def test_report_says_in_one_line_how_the_agent_answers(given: dict[str, Any], line: str) -> None:
    assert line in format_report({**given, "next_steps": list_next_steps(given)})


def test_report_has_two_spaces_after_the_longest_name_of_a_client() -> None:
    clients = [client("google.cloud.pubsub_v1"), client("redis")]
    lines = format_report({**report(*clients), "next_steps": []})
    assert "  google.cloud.pubsub_v1  1.0, instrumented; tested with 1.0" in lines
    assert "  redis                   1.0, instrumented; tested with 1.0" in lines


def test_agent_that_fails_is_looked_into_and_no_setting_is_blamed() -> None:
    agent = {**WELL, "lists_endpoint": False, "problem": "HTTP status 503 for /info", "status": 503}
    assert list_next_steps(report(agent=agent))[0].startswith("Look into the agent's log")
