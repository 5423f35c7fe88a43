"""Who may ask: this machine, or whoever has the token; and no page of another site, whatever name it goes by."""

from __future__ import annotations

import base64
import socket
import subprocess
from collections.abc import AsyncIterator

import httpx2
import pytest

from asyncdsm._internal.log import forget_warnings
from asyncdsm.agent.http.app import OTHER_INTAKES
from asyncdsm.agent.http.authentication import POLICY
from asyncdsm.agent.http.openapi import PATHS
from asyncdsm.agent.http.server import running_agent
from tests.agent.payloads import GZIP, INTAKE, Client, payload
from tests.agent.test_serve import AGENT, address, agent, refused

TOKEN = "0123456789abcdef"  # noqa: S105
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ASKED = ["/", "/info", "/nowhere", "/page/page.js", "/api/map", "/api/openapi.json", *PATHS]
SENT = [INTAKE, f"/api{INTAKE}", *(path.split("{")[0] + "x" for path in OTHER_INTAKES)]


@pytest.fixture
async def guarded() -> AsyncIterator[Client]:
    """Talk with an agent that asks for a token."""
    async with running_agent(token=TOKEN) as running, Client(base_url=running.url, timeout=30) as client:
        yield client


async def status(client: Client, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> int:
    """Return the status of an answer, which may have no end."""
    async with client.stream(method, path, headers=headers) as answer:
        return answer.status_code


async def test_every_route_except_health_requires_the_token(guarded: Client) -> None:
    for path in ASKED:
        expected = 200 if path == "/api/health" else 401
        assert await status(guarded, path) == expected, path
        assert await status(guarded, path, BEARER) not in {401, 403}, path
    for path in SENT:
        assert await status(guarded, path, method="POST") == 401, path
        assert await status(guarded, path, BEARER, "POST") not in {401, 403}, path


@pytest.mark.parametrize(
    "given",
    [
        "Bearer",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"bearer{TOKEN}",
        f"Token {TOKEN}",
        "Basic !",
        "Basic " + base64.b64encode(TOKEN.encode()).decode(),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        "Bearer é",
    ],
)
async def test_wrong_token_is_rejected_with_401(guarded: Client, given: str) -> None:
    answer = await guarded.get("/api/topology", headers={b"Authorization": given.encode()})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="asyncdsm"'
    assert answer.json()["error"]["path"] == "Authorization"
    assert TOKEN not in answer.text


@pytest.mark.parametrize("path", ["/v0.1/pipeline_stats", "/api/v0.1/pipeline_stats"])
async def test_payload_without_the_token_is_counted_and_logged(
    guarded: Client, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    forget_warnings()
    for _ in range(2):
        assert (await guarded.post(path, content=b"x", headers={"Authorization": "Bearer wrong"})).status_code == 401
    assert (await guarded.get("/api/topology")).status_code == 401  # not a payload
    assert (await guarded.get("/api/health")).json()["refused"] == 2
    (record,) = caplog.records
    assert record.getMessage() == "asyncdsm agent refused a payload, because its sender has not the agent's token"


async def test_token_as_basic_auth_password_is_accepted(guarded: Client) -> None:
    assert (await guarded.get("/api/topology", auth=("anybody", TOKEN))).status_code == 200


async def test_login_sets_a_strict_session_cookie(guarded: Client) -> None:
    assert (await guarded.get("/", params={"token": "wrong"})).status_code == 401
    answer = await guarded.get("/", params={"token": TOKEN})
    assert (answer.status_code, answer.headers["Location"]) == (303, "./")
    cookie = answer.headers["Set-Cookie"]
    assert TOKEN not in cookie
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict"))
    assert (await guarded.get("/api/topology")).status_code == 200
    guarded.cookies.set("asyncdsm", "0" * 48)
    guarded.cookies.delete("asyncdsm", domain="127.0.0.1")
    assert (await guarded.get("/api/topology")).status_code == 401


async def test_token_in_the_address_opens_only_the_page(guarded: Client) -> None:
    assert (await guarded.get("/api/topology", params={"token": TOKEN})).status_code == 401
    assert (await guarded.post("/", params={"token": TOKEN})).status_code == 401


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True),
        ("LOCALHOST:8126", True),
        ("127.0.0.1:1", True),
        ("[::1]:8126", True),
        ("10.1.2.3", True),  # an address is nobody's name
        (socket.gethostname(), True),
        ("evil.example", False),
        ("evil.example:8126", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
    ],
)
async def test_only_own_host_names_are_served(client: Client, host: str, allowed: bool) -> None:
    for path in ("/api/topology", "/api/health"):
        answer = await client.get(path, headers={"Host": host})
        assert answer.status_code == (200 if allowed else 403)
    answer = await client.post(INTAKE, content=payload(), headers={**GZIP, "Host": host})
    assert answer.status_code == (400 if allowed else 403)


async def test_any_host_name_is_served_with_the_token(guarded: Client) -> None:
    assert await status(guarded, "/api/topology", {**BEARER, "Host": "agent.example"}) == 200
    assert await status(guarded, "/api/health", {"Host": "agent.example"}) == 403


@pytest.mark.parametrize("path", ["/api/live", "/api/topology", "/api/health"])
async def test_cross_site_reads_are_rejected_with_403(client: Client, path: str) -> None:
    own = str(client.base_url).rstrip("/")
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    ):
        assert await status(client, path, headers) == 403
    for headers in (
        {"Origin": own, "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ):
        assert await status(client, path, headers) == 200


async def test_cross_site_posts_are_rejected_with_403(client: Client) -> None:
    answer = await client.post(INTAKE, content=payload(), headers={**GZIP, "Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert (await client.get("/api/health")).json()["payloads"] == 0


async def test_every_answer_has_security_headers(client: Client, guarded: Client) -> None:
    answers = [await client.get(path) for path in ASKED if path != "/api/live"]
    answers += [
        await client.post(INTAKE, content=b"x"),
        await client.post("/v0.4/traces"),
        await client.get("/api/health", headers={"Host": "evil.example"}),
        await guarded.get("/api/topology"),
        await guarded.get("/", params={"token": TOKEN}),
    ]
    async with client.stream("GET", "/api/live") as live:
        answers.append(live)
    assert {answer.status_code for answer in answers} > {200, 202} - {202} | {303, 401, 403, 404, 415}
    for answer in answers:
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Server" not in answer.headers


def test_public_host_without_token_is_rejected() -> None:
    with agent("--host", "0.0.0.0", "--token", TOKEN) as process:  # noqa: S104
        port = address(process).rpartition(":")[2]
        url = f"http://127.0.0.1:{port}"
        assert httpx2.get(f"{url}/api/topology").status_code == 401
        assert httpx2.get(f"{url}/api/topology", headers=BEARER).status_code == 200


def test_token_is_read_from_the_environment() -> None:
    command = [*AGENT, "--port", "0"]
    environ = {"ASYNCDSM_AGENT_TOKEN": TOKEN}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        try:
            url = address(process)
            assert httpx2.get(f"{url}/api/topology").status_code == 401
            assert httpx2.get(f"{url}/api/topology", headers=BEARER).status_code == 200
        finally:
            process.kill()


@pytest.mark.parametrize("token", ["short", "x" * 15, "with a space in it", "ünicode-" * 4])
def test_short_or_unprintable_token_is_rejected(token: str) -> None:
    code, said = refused("--token", token, "--port", "0")
    assert code == 1
    assert said.startswith("asyncdsm agent: --token, or ASYNCDSM_AGENT_TOKEN, must have at least 16 printable ASCII")
    assert token not in said
