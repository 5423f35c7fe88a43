"""The way into an agent that has a token, for a browser: a form, and a session cookie in exchange for the token."""

from __future__ import annotations

from hashlib import blake2b
from hmac import compare_digest
from html import escape
from importlib.resources import files
from urllib.parse import parse_qs

from anyio import move_on_after
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

COOKIE = "asyncdsm"
COOKIE_SECONDS = 30 * 86_400
WITHOUT_TOKEN = {"/page/login.css", "/page/icon.svg", "/page/reload.js"}
"""What is needed before somebody is logged in."""
WRONG = "This is not the token of this agent."
MAX_FORM_BYTES = 4_096
FORM_SECONDS = 5.0
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_FORM = files("asyncdsm.agent").joinpath("page", "login.html").read_text("utf-8")
_AGAIN = '<!doctype html><meta charset="utf-8"><title>asyncdsm</title><script src="/page/reload.js"></script>'


class Login:
    """Compares tokens in constant time. The cookie is derived from the token, and another token makes it void."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._cookie = blake2b(b"cookie:" + token.encode(), digest_size=24).hexdigest()

    def is_token(self, given: str) -> bool:
        """Say whether this is the agent's token."""
        return _equal(given, self._token)

    def is_session(self, cookie: str) -> bool:
        """Say whether this is the value of the session cookie."""
        return _equal(cookie, self._cookie)

    async def answer(self, request: Request) -> Response:
        """Answer a request for the page from somebody who is not logged in.

        The token may be in the form's body, or, once, in the address: it is taken out of there by the redirect.
        """
        if request.method == "POST":
            given = await _posted_token(request)
        else:
            query = request.scope["query_string"].decode("latin-1").replace("+", "%2B")  # a token has no space
            given = parse_qs(query).get("token", [])
        if len(given) == 1 and self.is_token(given[0]):
            return self._logged_in()
        if request.method == "GET" and not given and request.headers.get("sec-fetch-site") == "cross-site":
            # A browser keeps a strict cookie back when a link of another site leads here. It sends it with a request
            # of our own page, so this one asks again, and keeps the fragment, which only the browser knows.
            return _page(_AGAIN)
        return form(WRONG if given else "")

    def _logged_in(self) -> Response:
        answer = RedirectResponse("/", 303)
        answer.set_cookie(COOKIE, self._cookie, max_age=COOKIE_SECONDS, httponly=True, samesite="strict", path="/")
        return answer


def form(problem: str) -> Response:
    """Return the form, with what was wrong the last time."""
    return _page(_FORM.replace("<!-- problem -->", f'<p role="alert">{escape(problem)}</p>' if problem else ""))


def _page(content: str) -> Response:
    # Without a referrer, browsers send `Origin: null` with a form, and it looks like one of another site.
    headers = {
        "Content-Security-Policy": _POLICY,
        "Referrer-Policy": "same-origin",
        "WWW-Authenticate": 'Bearer realm="asyncdsm"',
    }
    return HTMLResponse(content, 401, headers)


async def _posted_token(request: Request) -> list[str]:
    """Return what a form says is the token; an empty string where there is no form, or too large or slow a one."""
    body = bytearray()
    with move_on_after(FORM_SECONDS) as waiting:
        try:
            async for part in request.stream():
                body += part
                if len(body) > MAX_FORM_BYTES:
                    return [""]
        except ClientDisconnect:
            return [""]
    return [""] if waiting.cancelled_caught else parse_qs(body.decode("latin-1")).get("token", [""])


def _equal(given: str, expected: str) -> bool:
    return compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())
