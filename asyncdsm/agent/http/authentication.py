"""Who may ask, and what every answer carries: a token beyond this machine, and nothing for other web pages."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from socket import gethostname

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asyncdsm.agent.http.login import COOKIE, WITHOUT_TOKEN, Login
from asyncdsm.errors import OptionError

HEALTH = "/api/health"
SHORTEST_TOKEN = 16
HOW_TO_GET_IN = (
    "this agent asks for its token: open / in a browser to log in, or send the header Authorization: Bearer TOKEN; "
    "services of asyncdsm read the token from ASYNCDSM_AGENT_TOKEN"
)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def check_token(token: str) -> str:
    """Return a token that may be used. Raises OptionError saying what it must be."""
    if len(token) < SHORTEST_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        allowed = f"at least {SHORTEST_TOKEN} printable ASCII characters, and no space"
        raise OptionError(f"--token, or ASYNCDSM_AGENT_TOKEN, must have {allowed}")
    return token


class Access:
    """ASGI middleware around everything the agent answers."""

    def __init__(self, app: ASGIApp, token: str | None, host: str) -> None:
        """`token` is what to ask for, if anything; `host` the name that the agent was told to listen at."""
        self._app, self._login = app, Login(token) if token else None
        self._names = {"localhost", host.lower(), gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the app answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        known = self._login is not None and self._knows(headers)
        if self._login is not None and _logs_in(scope, headers, known=known):
            answer: Response | None = await self._login.answer(Request(scope, receive))
            scope["query_string"] = b""  # the server may log it, and the token may be in it
        else:
            answer = self._refusal(scope, headers, known=known)
        await (answer or self._app)(scope, receive, send_secured)

    def _refusal(self, scope: Scope, headers: Headers, *, known: bool) -> Response | None:
        if not known and not _came_by_unix_socket(scope) and not self._is_ours(headers.get("host", "")):
            return _problem("Host", "not a name of this agent; use localhost or an address", 403)
        if _from_another_site(headers):
            return _problem("Origin", "not for pages of other sites", 403)
        if self._login and not known and scope["path"] not in {HEALTH, *WITHOUT_TOKEN}:
            answer = _problem("Authorization", HOW_TO_GET_IN, 401)
            answer.headers["WWW-Authenticate"] = 'Bearer realm="asyncdsm"'
            return answer
        return None

    def _knows(self, headers: Headers) -> bool:
        """Say whether a request shows the token, or comes from a browser that is logged in."""
        assert self._login is not None  # noqa: S101
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        match scheme.lower():
            case "bearer":
                return self._login.is_token(credentials.strip())
            case "basic":  # what a URL with a password sends
                return self._login.is_token(_password(credentials.strip()))
            case _:
                return self._login.is_session(_cookie(headers.get("cookie", "")))

    def _is_ours(self, host: str) -> bool:
        """Whether this is no name that somebody else may have pointed at us (DNS rebinding)."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and not host.endswith("]") else host
        if name.lower() in self._names:
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True


def _logs_in(scope: Scope, headers: Headers, *, known: bool) -> bool:
    """Say whether a request is for the form, or brings a token, in it or in the address of the page.

    The form is for browsers, under any name that leads here: it tells nothing. Whoever else asks gets JSON.
    """
    if scope["path"] != "/" or _from_another_site(headers):
        return False
    is_browser = "text/html" in headers.get("accept", "")
    if scope["method"] == "GET":
        return b"token=" in scope["query_string"] or (is_browser and not known)
    return bool(scope["method"] == "POST") and is_browser


def _came_by_unix_socket(scope: Scope) -> bool:
    """Whether the client is at a Unix socket, which no browser can reach. ddtrace sends its path as the host."""
    server = scope.get("server", ("", 0))
    return server is None or server[1] is None


def _from_another_site(headers: Headers) -> bool:
    """Whether a page of another site asks; following a link from there to here is no asking."""
    if headers.get("sec-fetch-site") in {"cross-site", "same-site"} and headers.get("sec-fetch-mode") != "navigate":
        return True
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")


def _password(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def _cookie(header: str) -> str:
    """Return the session cookie. A host's other programs set cookies, too, and SimpleCookie stops at an odd one."""
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""


def _problem(path: str, problem: str, status: int) -> Response:
    return JSONResponse({"error": {"path": path, "problem": problem}}, status)
