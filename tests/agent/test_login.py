"""The way into an agent that has a token: for browsers a form and a cookie, for services a variable."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

import asyncdsm
from asyncdsm import DataStreams, SettingError, Settings
from asyncdsm._internal import log
from asyncdsm.agent.http.login import MAX_FORM_BYTES, WRONG
from asyncdsm.agent.http.server import RunningAgent, running_agent
from asyncdsm.cli.main import main
from asyncdsm.delivery.exporters.http import request_headers
from tests.agent.payloads import Client
from tests.agent.running import agent as agent_in_thread

TOKEN = "0123456789abcdef"  # noqa: S105
HTML = {"Accept": "text/html,application/xhtml+xml"}
FORM = {**HTML, "Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def guarded() -> AsyncIterator[Client]:
    """Talk with an agent that asks for a token, as a browser that is not logged in."""
    async with running_agent(token=TOKEN) as running, Client(base_url=running.url, timeout=30) as client:
        yield client


async def posted(client: httpx2.AsyncClient, token: str, **headers: str) -> httpx2.Response:
    return await client.post("/", data={"token": token}, headers={**HTML, **headers})


async def test_page_is_a_form_until_the_token_is_given(guarded: Client) -> None:
    answer = await guarded.get("/", headers=HTML)
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, "text/html; charset=utf-8")
    assert '<form method="post">' in answer.text
    assert 'role="alert"' not in answer.text
    assert "form-action 'self'" in answer.headers["Content-Security-Policy"]
    for path in ("/page/login.css", "/page/icon.svg"):
        assert (await guarded.get(path)).status_code == 200
    for path in ("/page/main.js", "/page/base.css", "/page/login.html", "/api/map"):
        assert (await guarded.get(path, headers=HTML)).status_code == 401


async def test_token_in_the_form_opens_the_page(guarded: Client) -> None:
    answer = await posted(guarded, TOKEN)
    assert (answer.status_code, answer.headers["Location"]) == (303, "./")
    cookie = answer.headers["Set-Cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict"))
    assert TOKEN not in cookie
    page = await guarded.get("/", headers=HTML)
    assert (page.status_code, 'id="graph"' in page.text) == (200, True)
    assert (await guarded.get("/api/topology")).status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], f"{TOKEN}x", f" {TOKEN}", "<script>", "é" * 20])
async def test_wrong_token_is_reported_and_opens_nothing(guarded: Client, token: str) -> None:
    for answer in (await posted(guarded, token), await guarded.get("/", params={"token": token}, headers=HTML)):
        assert answer.status_code == 401
        assert "Set-Cookie" not in answer.headers
        assert (WRONG in answer.text) or not token
        assert "<script>" not in answer.text
    assert (await guarded.get("/api/topology")).status_code == 401


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        ("plus+plus+plus+plus", "plus+plus+plus+plus"),
        ("plus+plus+plus+plus", "plus%2Bplus%2Bplus%2Bplus"),
        ("all=of&them%#;/?+aaa", quote("all=of&them%#;/?+aaa")),
    ],
)
async def test_token_with_signs_opens_the_page_by_address_and_form(token: str, shown: str) -> None:
    async with running_agent(token=token) as running, httpx2.AsyncClient(base_url=running.url) as client:
        answer = await client.get(f"/?token={shown}", headers=HTML)
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (303, True)
        assert (await posted(client, token)).status_code == 303


@pytest.mark.parametrize("other", ['a="b c', "[x]=1", "a{b}=1; x", "=", "a=\u00fc", "$Version=1; p=(q)"])
async def test_cookie_of_another_program_does_not_lock_out_the_browser(guarded: Client, other: str) -> None:
    session = (await posted(guarded, TOKEN)).headers["Set-Cookie"].partition(";")[0]
    guarded.cookies.clear()
    for cookies in (f"{other}; {session}", f"{session}; {other}", f"{other};{session}"):
        answer = await guarded.get("/api/topology", headers={b"Cookie": cookies.encode()})
        assert answer.status_code == 200, cookies


async def test_malformed_form_opens_nothing(guarded: Client) -> None:
    for body in (
        b"",
        b"\xff\x00",
        b"token",
        f"token={TOKEN}&token={TOKEN}".encode(),
        b"token=" + b"x" * MAX_FORM_BYTES,
    ):
        answer = await guarded.post("/", content=body, headers=FORM)
        assert (answer.status_code, WRONG in answer.text) == (401, True)


async def test_token_in_the_address_is_always_removed(guarded: Client) -> None:
    for _ in range(2):  # the second time from a browser that is logged in
        answer = await guarded.get("/", params={"token": TOKEN}, headers=HTML)
        assert (answer.status_code, answer.headers["Location"]) == (303, "./")
        assert TOKEN not in answer.text


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example/", "/\\evil.example"])
async def test_login_redirects_only_to_the_page(guarded: Client, target: str) -> None:
    query = {"token": TOKEN, "next": target, "url": target, "redirect": target}
    answers = [
        await guarded.get("/", params=query, headers=HTML),
        await guarded.post("/", params={"next": target}, data=query, headers=HTML),
    ]
    assert [(answer.status_code, answer.headers["Location"]) for answer in answers] == [(303, "./")] * 2


async def test_form_of_another_site_is_rejected_with_403(guarded: Client) -> None:
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ):
        answer = await posted(guarded, TOKEN, **headers)
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)
    own = str(guarded.base_url).rstrip("/")
    assert (await posted(guarded, TOKEN, Origin=own)).status_code == 303


async def test_link_of_another_site_reloads_because_the_cookie_is_withheld(guarded: Client) -> None:
    link = {**HTML, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    answer = await guarded.get("/", headers=link)
    assert answer.status_code == 401
    assert '<script src="page/reload.js">' in answer.text
    assert (await guarded.get("/page/reload.js")).status_code == 200
    again = await guarded.get("/", headers={**link, "Sec-Fetch-Site": "same-origin"})
    assert "<form" in again.text


async def test_login_works_under_any_host_name(guarded: Client) -> None:
    other = {"Host": "agent.example"}
    for path in ("/page/login.css", "/page/icon.svg", "/page/reload.js"):
        assert (await guarded.get(path, headers=other)).status_code == 200
    assert "<form" in (await guarded.get("/", headers={**HTML, **other})).text
    assert (await guarded.get("/api/topology", headers=other)).status_code == 401
    assert (await posted(guarded, TOKEN, **other)).status_code == 303
    assert (await guarded.get("/api/topology", headers=other)).status_code == 200


async def test_client_that_is_not_a_browser_is_told_how_to_authenticate(guarded: Client) -> None:
    for path in ("/", "/api/map"):
        problem = (await guarded.get(path)).json()["error"]["problem"]
        assert all(word in problem for word in ("Authorization: Bearer", "ASYNCDSM_AGENT_TOKEN", "log in"))


async def test_token_appears_in_no_log(guarded: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="uvicorn"):
        for token in (TOKEN, "another-wrong-token"):
            await guarded.get("/", params={"token": token}, headers=HTML)
            await posted(guarded, token)
    said = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("uvicorn"))
    assert TOKEN not in said
    assert "another-wrong-token" not in said


async def test_agent_without_a_token_has_no_form(client: Client) -> None:
    assert 'id="graph"' in (await client.get("/", headers=HTML)).text
    assert (await client.post("/", data={"token": TOKEN}, headers=HTML)).status_code == 405


def test_help_says_how_to_log_in(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["agent", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "ASYNCDSM_AGENT_TOKEN, which services use too" in said
    assert "/?token=TOKEN" in said
    assert "http://agent:TOKEN@HOST:PORT" in said


@pytest.fixture
def running() -> Iterator[RunningAgent]:
    """Run an agent that asks for a token, beside tests that block."""
    with agent_in_thread(token=TOKEN) as running:
        yield running


async def deliver(settings: Settings) -> DataStreams:
    log.forget_warnings()
    async with DataStreams(settings) as streams:
        asyncdsm.set_produce_checkpoint("kafka", "orders", lambda _name, _value: None)
    return streams


async def test_service_sends_the_token_of_the_variable(running: RunningAgent) -> None:
    environ = {"DD_SERVICE": "shop", "DD_TRACE_AGENT_URL": running.url, "ASYNCDSM_AGENT_TOKEN": f"{TOKEN}\n"}
    streams = await deliver(Settings.from_environ(environ))
    assert (streams.stats.delivered, streams.stats.dropped) == (1, 0)
    assert list(running.store.services()) == [("shop", "")]


async def test_password_in_the_url_comes_before_the_variable(running: RunningAgent) -> None:
    settings = Settings(agent_url=running.url.replace("//", f"//agent:{TOKEN}@"), agent_token="another-token-of-16")  # noqa: S106
    assert (await deliver(settings)).stats.delivered == 1


@pytest.mark.parametrize(
    ("token", "advice"),
    [
        (None, "the agent requires its token; set ASYNCDSM_AGENT_TOKEN to it"),
        ("another-token-of-16", "the token that is set is not the one that the agent was started with"),
    ],
)
async def test_refused_service_is_told_what_to_do(
    running: RunningAgent, caplog: pytest.LogCaptureFixture, token: str | None, advice: str
) -> None:
    streams = await deliver(Settings(agent_url=running.url, agent_token=token))
    assert streams.stats.delivered == 0
    assert f"HTTP status 401: {advice}" in caplog.text
    assert "another-token" not in caplog.text


def test_token_is_not_sent_with_an_api_key() -> None:
    keyed = request_headers(Settings(agent_url="https://intake.example", api_key="key", agent_token=TOKEN))
    assert TOKEN not in "".join(keyed.values())


def test_token_is_never_shown() -> None:
    settings = Settings(agent_token=TOKEN)
    assert TOKEN not in repr(settings)
    assert settings.shown()["agent_token"] == "…"  # noqa: S105
    with pytest.raises(SettingError, match="ASYNCDSM_AGENT_TOKEN") as caught:
        Settings.from_environ({"ASYNCDSM_AGENT_TOKEN": "se\ncret"})
    assert "cret" not in str(caught.value)


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch, running: RunningAgent) -> pytest.MonkeyPatch:
    for name in ("DD_AGENT_HOST", "DD_TRACE_AGENT_PORT", "ASYNCDSM_AGENT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DD_TRACE_AGENT_URL", running.url)
    return monkeypatch


def test_doctor_reports_a_refusal_and_what_to_do(
    environ: pytest.MonkeyPatch, running: RunningAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    said = f"The agent at {running.url} answers, but it refuses what services send: HTTP status 401: "
    assert main(["doctor"]) == 1
    assert f"{said}the agent requires its token; set ASYNCDSM_AGENT_TOKEN to it" in capsys.readouterr().out
    environ.setenv("ASYNCDSM_AGENT_TOKEN", "another-token-of-16")
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert f"{said}the token that is set is not the one that the agent was started with" in out
    assert "another-token" not in out
    environ.setenv("ASYNCDSM_AGENT_TOKEN", TOKEN)
    assert main(["doctor", "--json"]) == 0
    out = capsys.readouterr().out
    assert TOKEN not in out
    found = json.loads(out)
    assert (found["agent"]["lists_endpoint"], found["agent"]["problem"]) == (True, None)
    token = found["settings"]["agent_token"]
    assert (token["value"], token["from"]) == ("…", "ASYNCDSM_AGENT_TOKEN")


def test_doctor_reports_why_a_host_name_is_not_served(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = socket.getaddrinfo

    def resolve(host: str | bytes | None, *arguments: Any, **options: Any) -> Any:
        return known("127.0.0.1" if host in {"agent.example", b"agent.example"} else host, *arguments, **options)

    with agent_in_thread() as running:
        environ.setattr(socket, "getaddrinfo", resolve)
        environ.setenv("DD_TRACE_AGENT_URL", running.url.replace("127.0.0.1", "agent.example"))
        assert main(["doctor"]) == 1
    assert (
        "HTTP status 403: the host must be localhost, or a name or an address of this agent" in capsys.readouterr().out
    )


def test_service_without_the_token_is_told_so_under_any_host_name(
    environ: pytest.MonkeyPatch, running: RunningAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    known = socket.getaddrinfo

    def resolve(host: str | bytes | None, *arguments: Any, **options: Any) -> Any:
        return known("127.0.0.1" if host in {"agent", b"agent"} else host, *arguments, **options)

    environ.setattr(socket, "getaddrinfo", resolve)
    environ.setenv("DD_TRACE_AGENT_URL", running.url.replace("127.0.0.1", "agent"))
    assert main(["doctor"]) == 1
    assert "the agent requires its token; set ASYNCDSM_AGENT_TOKEN to it" in capsys.readouterr().out
