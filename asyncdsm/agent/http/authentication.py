"""Who may send requests, and the security headers of every answer.

Clients need the token, if the agent has one. Pages of other sites get nothing.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Callable
from socket import gethostname

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asyncdsm.agent.http.error_responses import error_response
from asyncdsm.agent.http.login import COOKIE, WITHOUT_TOKEN, Login
from asyncdsm.agent.queries.parameters import ApiError
from asyncdsm.errors import OptionError

HEALTH = "/api/health"
SHORTEST_TOKEN = 16
HOW_TO_AUTHENTICATE = (
    "this agent requires its token: open / in a browser to log in, or send the header Authorization: Bearer TOKEN; "
    "services that use asyncdsm read the token from ASYNCDSM_AGENT_TOKEN"
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
    """Return the token if it may be used. Raises OptionError."""
    if len(token) < SHORTEST_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        allowed = f"at least {SHORTEST_TOKEN} printable ASCII characters, and no space"
        raise OptionError(f"--token, or ASYNCDSM_AGENT_TOKEN, must have {allowed}")
    return token


class Authentication:
    """ASGI middleware around the whole app: lets requests through, refuses them, or answers with the login form."""

    def __init__(self, app: ASGIApp, token: str | None, host: str, note_refused: Callable[[str, int], None]) -> None:
        """`token` is what clients must send, None if anybody may; `host` is the host name that the agent listens on.

        `note_refused` is called with the path and the HTTP status of each request that is refused here.
        """
        self._note_refused = note_refused
        self._app, self._login = app, Login(token) if token else None
        self._names = {"localhost", host.lower(), gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the app answer it."""
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
        is_known = self._login is not None and self._is_authenticated(headers)
        if self._login is not None and _is_login(scope, headers, is_known=is_known):
            answer: Response | None = await self._login.answer(Request(scope, receive))
            scope["query_string"] = b""  # the server may log it, and the token may be in it
        else:
            answer = self._refuse(scope, headers, is_known=is_known)
            if answer is not None:
                self._note_refused(scope["path"], answer.status_code)
        await (answer or self._app)(scope, receive, send_secured)

    def _refuse(self, scope: Scope, headers: Headers, *, is_known: bool) -> Response | None:
        """Return the answer that refuses a request; None if the app may answer it."""
        if _is_cross_site(headers):
            return error_response(ApiError(403, "Origin", "pages of other sites may not send requests to this agent"))
        needs_token = self._login is not None and not is_known
        if needs_token and scope["path"] in WITHOUT_TOKEN:
            return None
        if needs_token and scope["path"] != HEALTH:
            answer = error_response(ApiError(401, "Authorization", HOW_TO_AUTHENTICATE))
            answer.headers["WWW-Authenticate"] = 'Bearer realm="asyncdsm"'
            return answer
        if not (is_known or _came_by_unix_socket(scope) or self._is_own_host(headers.get("host", ""))):
            return error_response(
                ApiError(403, "Host", "the host must be localhost, or a name or an address of this agent")
            )
        return None

    def _is_authenticated(self, headers: Headers) -> bool:
        """Tell whether a request has the token, or comes from a browser that is logged in."""
        assert self._login is not None  # noqa: S101
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        match scheme.lower():
            case "bearer":
                return self._login.is_token(credentials.strip())
            case "basic":  # a URL with a password
                return self._login.is_token(_password(credentials.strip()))
            case _:
                return self._login.is_session(_cookie(headers.get("cookie", "")))

    def _is_own_host(self, host: str) -> bool:
        """Tell whether a Host header is an address or a name of this agent.

        Another name may be one that a foreign site points to this agent (DNS rebinding).
        """
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and not host.endswith("]") else host
        if name.lower() in self._names:
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True


def _is_login(scope: Scope, headers: Headers, *, is_known: bool) -> bool:
    """Tell whether a request is for the login form, or has a token in the form or in the address of the page.

    The form is for browsers, under any host name, since it reveals nothing. Other clients get JSON.
    """
    if scope["path"] != "/" or _is_cross_site(headers):
        return False
    is_browser = "text/html" in headers.get("accept", "").lower()
    if scope["method"] == "GET":
        return b"token=" in scope["query_string"] or (is_browser and not is_known)
    return bool(scope["method"] == "POST") and is_browser


def _came_by_unix_socket(scope: Scope) -> bool:
    """Tell whether a request came by the Unix socket, which no browser can use. ddtrace sends its path as the host."""
    server = scope.get("server", ("", 0))
    return server is None or server[1] is None


def _is_cross_site(headers: Headers) -> bool:
    """Tell whether a page of another site sent a request; to follow a link from there to the agent is allowed."""
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
    """Return the session cookie. Other programs set cookies too, and SimpleCookie fails at malformed ones."""
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""
