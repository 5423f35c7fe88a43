"""Delivers payloads to an agent over TCP, TLS or a Unix socket, or with an API key to Datadog's intake."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import anyio
import httpx2

from asyncdsm.delivery.exporters.http import (
    HandshakeGuard,
    describe_error,
    describe_foreign_answer,
    is_page,
    json_member,
    parse_retry_after,
    quiet_requests,
    quote_problem,
    read_answer,
    request_headers,
    split_credentials,
)
from asyncdsm.errors import NoEndpointError, PayloadRefusedError, TemporaryDeliveryError
from asyncdsm.settings import Settings

PATH = "/v0.1/pipeline_stats"
ACCESS_DENIED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
TEMPORARY_FAILURES = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


class AgentInfo(NamedTuple):
    """The answer of an agent to `GET /info`."""

    answers: bool
    lists_endpoint: bool
    problem: str | None
    """Why it does not answer, or why it would refuse payloads."""
    status: int | None = None
    """The HTTP status of the answer, None without one."""
    version: str | None = None
    """What the agent calls itself, such as `7.60.1` or `asyncdsm-0.1.0`."""


class AgentExporter:
    """Posts payloads to `settings.agent_url`. Create it in a worker thread: it may load certificates from disk."""

    token_hint: str = "set ASYNCDSM_AGENT_TOKEN to it"  # noqa: S105  (what to do, no token)

    def __init__(self, settings: Settings) -> None:
        url = urlsplit(settings.agent_url)
        secure, socket_path = url.scheme == "https", url.path if url.scheme == "unix" else None
        address, auth = split_credentials("http://localhost" if socket_path else settings.agent_url)
        self._has_token = auth is not None or settings.agent_token is not None
        # No proxy from the environment: the Agent is local, and a proxy to the outside could not reach it.
        self._client = httpx2.AsyncClient(
            base_url=address,
            auth=auth,
            headers=request_headers(settings),
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
        status, headers, body = await self._post(payload)
        if 200 <= status < 300:
            if is_page(headers, body):
                raise TemporaryDeliveryError(describe_foreign_answer(status, headers, "an agent"))
            return
        if status >= 500 or status in TEMPORARY_FAILURES:
            raise TemporaryDeliveryError(f"HTTP status {status}", parse_retry_after(headers.get("Retry-After")))
        if status == HTTPStatus.NOT_FOUND and not self._agentless:
            raise NoEndpointError(f"HTTP status {status}")
        raise PayloadRefusedError(f"HTTP status {status}{self._describe_status(status)}")

    async def lists_endpoint(self) -> bool:
        """Return whether the Agent's `/info` lists the Data Streams endpoint; False if it does not answer."""
        return (await self.request_info()).lists_endpoint

    async def request_info(self) -> AgentInfo:
        """Request `/info`, for at most `request_seconds`, and read a bounded part of the answer. Raises nothing."""
        try:
            with anyio.fail_after(self._request_seconds):
                async with self._request("GET", "/info", headers={"Accept-Encoding": "identity"}) as answer:
                    status, body = answer.status_code, await read_answer(answer)
        except (httpx2.HTTPError, OSError) as error:  # a TimeoutError is an OSError
            return AgentInfo(answers=False, lists_endpoint=False, problem=describe_error(error))
        if status in ACCESS_DENIED and not self._agentless:
            said = self._describe_status(status) or quote_problem(json_member(body, "error", "problem"))
            return AgentInfo(answers=True, lists_endpoint=False, problem=f"HTTP status {status}{said}", status=status)
        if status != HTTPStatus.OK and not self._agentless:
            said = f"HTTP status {status} for /info, which every agent has"
            said += "" if status >= 500 else ": its URL leads to another server or path"
            return AgentInfo(answers=True, lists_endpoint=False, problem=said, status=status)
        endpoints = json_member(body, "endpoints")
        if not isinstance(endpoints, list) and not self._agentless:
            said = "its answer to /info is not that of an agent: its URL leads to another server or path"
            return AgentInfo(answers=True, lists_endpoint=False, problem=said, status=status)
        lists_endpoint = isinstance(endpoints, list) and PATH in endpoints
        version = quote_problem(json_member(body, "version")).removeprefix(": ") or None
        return AgentInfo(answers=True, lists_endpoint=lists_endpoint, problem=None, status=status, version=version)

    def _describe_status(self, status: int) -> str:
        if status != HTTPStatus.UNAUTHORIZED or self._agentless:
            return ""
        if self._has_token:
            return ": the token that is set is not the one that the agent was started with"
        return f": the agent requires its token; {self.token_hint}"

    def payload_headers(self, payload: bytes) -> list[tuple[bytes, bytes]] | None:
        """Return further headers for this payload, None for none. For subclasses."""
        return None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def _request(self, method: str, path: str, **more: Any) -> AsyncIterator[httpx2.Response]:
        with quiet_requests():
            async with (
                HandshakeGuard() as guard,
                self._client.stream(method, path, extensions={"trace": guard.trace}, **more) as answer,
            ):
                yield answer

    async def _post(self, payload: bytes) -> tuple[int, httpx2.Headers, bytes]:
        try:
            headers = self.payload_headers(payload)
            async with self._request("POST", self._path, content=payload, headers=headers) as answer:
                body = await read_answer(answer)  # a connection is reused only if the answer was read to its end
                return answer.status_code, answer.headers, body
        except (httpx2.HTTPError, OSError) as error:
            raise TemporaryDeliveryError(describe_error(error)) from error
