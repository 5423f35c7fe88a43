"""HTTP for the agent exporter: headers, bounded answers, `Retry-After`, errors in words, and quiet logging."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from email.utils import parsedate_to_datetime
from logging import LogRecord, getLogger
from math import isnan
from time import time
from typing import Any, Self

import httpx2

from asyncdsm._version import __version__
from asyncdsm.delivery.exporters.container import container_headers
from asyncdsm.settings import Settings

MAX_ANSWER_BYTES = 64 * 1024
MAX_RETRY_AFTER = 300.0
MAX_PROBLEM_CHARACTERS = 200

_is_export: ContextVar[bool] = ContextVar("asyncdsm_request", default=False)


@contextmanager
def quiet_requests() -> Iterator[None]:
    """Inside the block, the HTTP client does not log its requests: asyncdsm's do not belong in the program's log."""
    before = _is_export.get()
    _is_export.set(True)
    try:
        yield
    finally:
        _is_export.set(before)


def _is_from_program(_: LogRecord) -> bool:
    return not _is_export.get()


getLogger("httpx2").addFilter(_is_from_program)


def request_headers(settings: Settings) -> dict[str, str]:
    """Return the headers of every request: what is sent, by whom, from which container, and the key or token."""
    headers = {
        "Content-Type": "application/msgpack",
        "Content-Encoding": "gzip",
        "Datadog-Meta-Lang": "python",
        "Datadog-Meta-Lang-Version": platform.python_version(),
        "Datadog-Meta-Lang-Interpreter": platform.python_implementation(),
        "Datadog-Meta-Tracer-Version": __version__,
        "User-Agent": f"asyncdsm/{__version__}",
        **container_headers(settings.external_env),
    }
    if settings.api_key:
        headers["DD-API-KEY"] = settings.api_key
    elif settings.agent_token:
        headers["Authorization"] = f"Bearer {settings.agent_token}"
    return headers


def split_credentials(url: str) -> tuple[httpx2.URL, httpx2.BasicAuth | None]:
    """Return a URL without user and password, and those: the HTTP client logs the URLs of its requests."""
    parsed = httpx2.URL(url)
    if not parsed.userinfo:
        return parsed, None
    return parsed.copy_with(userinfo=b""), httpx2.BasicAuth(parsed.username, parsed.password)


async def read_answer(answer: httpx2.Response) -> bytes:
    """Read the body of an answer to its end, but not much more than `MAX_ANSWER_BYTES`."""
    body = b""
    async for part in answer.aiter_raw():
        body += part
        if len(body) > MAX_ANSWER_BYTES:
            break
    return body


def is_page(headers: httpx2.Headers, body: bytes) -> bool:
    """Return whether an answer is a web page: a proxy's, or that of another server. No receiver sends one."""
    return "html" in headers.get("Content-Type", "").lower() or body.lstrip()[:1] == b"<"


def describe_foreign_answer(status: int, headers: httpx2.Headers, whose: str) -> str:
    """Return in words that an answer is not one of `whose`."""
    kind = quote_problem(headers.get("Content-Type")).removeprefix(": ") or "no type"
    return f"HTTP status {status} with a body of {kind}, which is no answer of {whose}"


def json_member(value: object, *names: str) -> object:
    """Return what a JSON text, or a value decoded from one, has under these names; None if it has nothing there."""
    if isinstance(value, bytes):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def quote_problem(problem: object) -> str:
    """Return `: ` and what an agent says is wrong, shortened, printable characters only; "" if it says nothing."""
    if not isinstance(problem, str):
        return ""
    return ": " + "".join(each for each in problem[:MAX_PROBLEM_CHARACTERS] if each.isprintable())


def describe_error(error: BaseException) -> str:
    """Return what went wrong, in one line, with the root cause, which some backends do not put into their message."""
    root = error
    while (cause := root.__cause__ or root.__context__) is not None:
        root = cause
    parts = [f"{type(error).__name__}: {error}".rstrip(": "), str(root) if str(root) != str(error) else ""]
    return " · ".join(filter(None, parts))


def parse_retry_after(value: str | None) -> float | None:
    """Return the seconds of a `Retry-After` header (RFC 9110 §10.2.3), at most 300; None if there is no valid one.

    The header holds a number of seconds or a date.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time()
        except (ValueError, OverflowError):
            return None
    return None if isnan(seconds) else min(max(seconds, 0.0), MAX_RETRY_AFTER)


class HandshakeGuard:
    """Closes the connection of a request that is cancelled during its TLS handshake, because httpcore2 does not.

    A context manager around the request, whose `trace` extension must be the guard's `trace`.
    """

    def __init__(self) -> None:
        self.has_connected: bool = False
        """Whether a connection was opened for this request, if only without TLS yet."""
        self.has_answer: bool = False
        """Whether the head of an answer has come."""
        self._connection: Any = None

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take one event of httpcore2's `trace` extension."""
        if event == "connection.connect_tcp.complete":
            self.has_connected, self._connection = True, info["return_value"]
        elif event == "connection.start_tls.complete":
            self._connection = None
        elif event == "http11.receive_response_headers.complete":
            self.has_answer = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and self._connection is not None:
            await self._connection.aclose()
