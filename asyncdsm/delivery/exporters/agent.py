"""To a Datadog Agent or our own over TCP, TLS or a Unix socket; or, with an API key, straight to the intake."""

from __future__ import annotations

import json
import platform
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from logging import LogRecord, getLogger
from math import isnan
from time import time
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import anyio
import httpx2

from asyncdsm._version import __version__
from asyncdsm.delivery.exporters.container import container_headers
from asyncdsm.errors import NoEndpointError, PayloadRefusedError, TemporaryDeliveryError
from asyncdsm.settings import Settings

PATH = "/v0.1/pipeline_stats"
REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
RETRIED = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
MAX_ANSWER_BYTES = 64 * 1024
MAX_RETRY_AFTER = 300.0


class Info(NamedTuple):
    """What an agent says of itself."""

    answers: bool
    lists_endpoint: bool
    problem: str | None
    """Why it does not answer, or why it would refuse payloads."""


_is_ours: ContextVar[bool] = ContextVar("asyncdsm_request", default=False)


def _is_programs_own(_: LogRecord) -> bool:
    """Keep the HTTP client's line about each delivery out of the program's log, where it would come every 10 s."""
    return not _is_ours.get()


getLogger("httpx2").addFilter(_is_programs_own)


class AgentExporter:
    """Posts payloads to `settings.agent_url`. Make it in a worker thread: it may load certificates."""

    how_to_give_token: str = "set ASYNCDSM_AGENT_TOKEN to it"  # noqa: S105  (an advice)

    def __init__(self, settings: Settings) -> None:
        url = urlsplit(settings.agent_url)
        secure, socket_path = url.scheme == "https", url.path if url.scheme == "unix" else None
        address, auth = _without_user("http://localhost" if socket_path else settings.agent_url)
        self._shows_token = auth is not None or settings.agent_token is not None
        # No proxy from the environment: the Agent is local, and a proxy for the outside would hide it.
        self._client = httpx2.AsyncClient(
            base_url=address,
            auth=auth,
            headers=_headers(settings),
            transport=httpx2.AsyncHTTPTransport(
                verify=ssl.create_default_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                uds=socket_path,
                trust_env=False,
            ),
            timeout=settings.request_seconds,
            trust_env=False,
        )
        self._request_seconds = settings.request_seconds
        self._path = f"/api{PATH}" if settings.api_key else PATH
        self._agentless = settings.api_key is not None

    async def export(self, payload: bytes) -> None:
        """Post one payload. Raises TemporaryDeliveryError, NoEndpointError or PayloadRefusedError."""
        status, retry_after = await self._post(payload)
        if 200 <= status < 300:
            return
        if status >= 500 or status in RETRIED:
            raise TemporaryDeliveryError(f"HTTP status {status}", _seconds(retry_after))
        if status == HTTPStatus.NOT_FOUND and not self._agentless:
            raise NoEndpointError(f"HTTP status {status}")
        raise PayloadRefusedError(f"HTTP status {status}{self._advice(status)}")

    async def lists_endpoint(self) -> bool:
        """Say whether the Agent's `/info` lists the endpoint; False when it does not answer."""
        return (await self.ask()).lists_endpoint

    async def ask(self) -> Info:
        """Ask for `/info`.

        It waits for `request_seconds` in all, and reads no more than a bounded part of an answer.
        """
        try:
            with anyio.fail_after(self._request_seconds):
                async with self._request("GET", "/info", headers={"Accept-Encoding": "identity"}) as answer:
                    status, text = answer.status_code, await _beginning(answer)
        except (httpx2.HTTPError, OSError) as error:  # a TimeoutError is an OSError
            return Info(answers=False, lists_endpoint=False, problem=_described(error))
        if status in REFUSED and not self._agentless:
            said = _member(_member(_decoded(text), "error"), "problem")
            problem = f"HTTP status {status}{self._advice(status) or _quoted(said)}"
            return Info(answers=True, lists_endpoint=False, problem=problem)
        endpoints = _member(_decoded(text), "endpoints")
        return Info(answers=True, lists_endpoint=isinstance(endpoints, list) and PATH in endpoints, problem=None)

    def _advice(self, status: int) -> str:
        if status != HTTPStatus.UNAUTHORIZED or self._agentless:
            return ""
        if self._shows_token:
            return ": the token that is set is not the one that the agent was started with"
        return f": the agent asks for its token; {self.how_to_give_token}"

    def headers_of(self, payload: bytes) -> list[tuple[bytes, bytes]] | None:
        """Return headers of this one payload, besides those of all."""
        return None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def _request(self, method: str, path: str, **more: Any) -> AsyncIterator[httpx2.Response]:
        before = _is_ours.get()
        _is_ours.set(True)
        try:
            async with (
                _Connecting() as connecting,
                self._client.stream(method, path, extensions={"trace": connecting.trace}, **more) as answer,
            ):
                yield answer
        finally:
            _is_ours.set(before)

    async def _post(self, payload: bytes) -> tuple[int, str | None]:
        try:
            headers = self.headers_of(payload)
            async with self._request("POST", self._path, content=payload, headers=headers) as answer:
                await _beginning(answer)  # a connection is used again only when read to its end
                return answer.status_code, answer.headers.get("Retry-After")
        except (httpx2.HTTPError, OSError) as error:
            raise TemporaryDeliveryError(_described(error)) from error


def _decoded(text: bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _quoted(said: object) -> str:
    """Return what an agent says is wrong, cut, in printable characters; empty if it says nothing."""
    if not isinstance(said, str):
        return ""
    return ": " + "".join(character for character in said[:200] if character.isprintable())


async def _beginning(answer: httpx2.Response) -> bytes:
    """Read an answer to its end, or as far as anything of it is wanted."""
    text = b""
    async for part in answer.aiter_raw():
        text += part
        if len(text) > MAX_ANSWER_BYTES:
            break
    return text


class _Connecting:
    """Closes the connection of a request that is cancelled in the middle of its TLS handshake: httpcore2 does not."""

    def __init__(self) -> None:
        self._connection: Any = None

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take one event of httpcore2's `trace` extension."""
        if event == "connection.connect_tcp.complete":
            self._connection = info["return_value"]
        elif event == "connection.start_tls.complete":
            self._connection = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and self._connection is not None:
            await self._connection.aclose()


def _without_user(url: str) -> tuple[httpx2.URL, httpx2.BasicAuth | None]:
    """Take user and password out of a URL: the HTTP client writes the URLs it asks for to the log."""
    parsed = httpx2.URL(url)
    if not parsed.userinfo:
        return parsed, None
    return parsed.copy_with(userinfo=b""), httpx2.BasicAuth(parsed.username, parsed.password)


def _headers(settings: Settings) -> dict[str, str]:
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


def _described(error: BaseException) -> str:
    """Say what went wrong, with the cause that some backends keep to themselves."""
    root = error
    while (cause := root.__cause__ or root.__context__) is not None:
        root = cause
    parts = [f"{type(error).__name__}: {error}".rstrip(": "), str(root) if str(root) != str(error) else ""]
    return " · ".join(filter(None, parts))


def _seconds(retry_after: str | None) -> float | None:
    """Read `Retry-After`, seconds or a date (RFC 9110 §10.2.3); None when it is not there or not readable."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time()
        except (ValueError, OverflowError):
            return None
    return None if isnan(seconds) else min(max(seconds, 0.0), MAX_RETRY_AFTER)
