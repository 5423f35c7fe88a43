"""How a browser logs in to an agent that has a token: a form, and a session cookie in exchange for the token."""

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
"""Files that are served before the login."""
WRONG = "This is not the token of this agent."
MAX_FORM_BYTES = 4_096
FORM_SECONDS = 5.0
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_FORM = files("asyncdsm.agent").joinpath("page", "login.html").read_text("utf-8")
_AGAIN = '<!doctype html><meta charset="utf-8"><title>asyncdsm</title><script src="page/reload.js"></script>'


class Login:
    """Compares tokens in constant time. The cookie is derived from the token: if that changes, it becomes invalid."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._cookie = blake2b(b"cookie:" + token.encode(), digest_size=24).hexdigest()

    def is_token(self, given: str) -> bool:
        """Tell whether this is the agent's token."""
        return _equal(given, self._token)

    def is_session(self, cookie: str) -> bool:
        """Tell whether this is the value of the session cookie."""
        return _equal(cookie, self._cookie)

    async def answer(self, request: Request) -> Response:
        """Answer a request for the page from a browser that is not logged in.

        The token may be in the form's body, or in the address, from which the redirect removes it.
        """
        if request.method == "POST":
            given = await _posted_token(request)
        else:
            query = request.scope["query_string"].decode("latin-1").replace("+", "%2B")  # a token has no space
            given = parse_qs(query).get("token", [])
        if len(given) == 1 and self.is_token(given[0]):
            return self._logged_in()
        if request.method == "GET" and not given and request.headers.get("sec-fetch-site") == "cross-site":
            # A browser does not send a strict cookie when it follows a link of another site. It sends the cookie with
            # a request from a page of the agent, so this page requests the same address again, with its fragment.
            return _page(_AGAIN)
        return login_form(WRONG if given else "")

    def _logged_in(self) -> Response:
        # The browser knows the address under which a proxy may serve the page: redirect and cookie are relative to it.
        answer = RedirectResponse("./", 303)
        answer.set_cookie(COOKIE, self._cookie, max_age=COOKIE_SECONDS, httponly=True, samesite="strict", path=None)
        return answer


def login_form(problem: str) -> Response:
    """Return the login form, with what was wrong with the last attempt."""
    return _page(_FORM.replace("<!-- problem -->", f'<p role="alert">{escape(problem)}</p>' if problem else ""))


def _page(content: str) -> Response:
    # Without a referrer, browsers send `Origin: null` with a form, as if it came from another site.
    headers = {
        "Content-Security-Policy": _POLICY,
        "Referrer-Policy": "same-origin",
        "WWW-Authenticate": 'Bearer realm="asyncdsm"',
    }
    return HTMLResponse(content, 401, headers)


async def _posted_token(request: Request) -> list[str]:
    """Return the token of a form; an empty string if there is no form, or if it is too large or too slow."""
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
