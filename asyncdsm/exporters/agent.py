"""To a Datadog Agent or our own over TCP, TLS or a Unix socket; or, with an API key, straight to the intake."""

from __future__ import annotations

import platform
import ssl
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import time
from urllib.parse import urlsplit

import httpx2

from asyncdsm._version import __version__
from asyncdsm.exporters import NoEndpoint, Refused, TryAgain
from asyncdsm.exporters.container import container_headers
from asyncdsm.settings import Settings

PATH = "/v0.1/pipeline_stats"
RETRIED = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
MAX_ANSWER_BYTES = 64 * 1024
MAX_RETRY_AFTER = 300.0


class AgentExporter:
    """Posts payloads to `settings.agent_url`. Make it in a worker thread: it may load certificates."""

    def __init__(self, settings: Settings) -> None:
        url = urlsplit(settings.agent_url)
        secure, socket_path = url.scheme == "https", url.path if url.scheme == "unix" else None
        # No proxy from the environment: the Agent is local, and a proxy for the outside would hide it.
        self._client = httpx2.AsyncClient(
            base_url="http://localhost" if socket_path else settings.agent_url,
            headers=_headers(settings),
            transport=httpx2.AsyncHTTPTransport(
                verify=ssl.create_default_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                uds=socket_path,
                trust_env=False,
            ),
            timeout=settings.request_seconds,
            trust_env=False,
        )
        self._path = f"/api{PATH}" if settings.api_key else PATH
        self._agentless = settings.api_key is not None

    async def export(self, payload: bytes) -> None:
        """Post one payload. Raises TryAgain, NoEndpoint or Refused."""
        status, retry_after = await self._post(payload)
        if 200 <= status < 300:
            return
        if status >= 500 or status in RETRIED:
            raise TryAgain(f"HTTP status {status}", _seconds(retry_after))
        if status == HTTPStatus.NOT_FOUND and not self._agentless:
            raise NoEndpoint(f"HTTP status {status}")
        raise Refused(f"HTTP status {status}")

    async def lists_endpoint(self) -> bool:
        """Say whether the Agent's `/info` lists the endpoint; False when it does not answer."""
        return (await self.ask())[0]

    async def ask(self) -> tuple[bool, str | None]:
        """Ask for `/info`: whether it lists the endpoint, and why nothing answered, if nothing did."""
        try:
            answer = await self._client.get("/info")
        except (httpx2.HTTPError, OSError) as error:
            return False, _described(error)
        try:
            endpoints = answer.json()["endpoints"]
        except (ValueError, KeyError, TypeError):
            return False, None
        return isinstance(endpoints, list) and PATH in endpoints, None

    def headers_of(self, payload: bytes) -> list[tuple[str, str]] | None:
        """Return headers of this one payload, besides those of all."""
        return None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _post(self, payload: bytes) -> tuple[int, str | None]:
        try:
            headers = self.headers_of(payload)
            async with self._client.stream("POST", self._path, content=payload, headers=headers) as answer:
                read = 0
                async for part in answer.aiter_raw():  # a connection is used again only when read to its end
                    read += len(part)
                    if read > MAX_ANSWER_BYTES:
                        break
                return answer.status_code, answer.headers.get("Retry-After")
        except (httpx2.HTTPError, OSError) as error:
            raise TryAgain(_described(error)) from error


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
        except ValueError:
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
