"""Asks a local agent, wherever it listens, and says plainly why there is no answer."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import httpx2
from msgspec import DecodeError, ValidationError
from msgspec.json import decode

from asyncdsm._version import __version__
from asyncdsm.errors import AsyncDSMError
from asyncdsm.map.topology import Topology

URL = "http://127.0.0.1:8126"
TOKEN = "ASYNCDSM_AGENT_TOKEN"  # noqa: S105  (the variable's name)
PATIENCE_SECONDS = 20.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class NoAnswerError(AsyncDSMError, RuntimeError):
    """There is no topology to be had: one line that says where from, and why."""


def agent_url(text: str) -> str:
    """Return the address of an agent, without a slash at its end. Raises ValueError for what is none."""
    try:
        parts = urlsplit(text.rstrip("/"))
        port = parts.port
    except ValueError:
        raise ValueError(f"{text!r} is not the address of an agent, such as {URL}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or parts.query or parts.fragment:
        raise ValueError(f"{text!r} is not the address of an agent, such as {URL}")
    return parts.geturl()


def without_password(url: str) -> str:
    """Return an address as it may be shown."""
    parts = urlsplit(url.rstrip("/"))
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def client_of(url: str, token: str | None) -> httpx2.Client:
    """Return a client that asks the agent at `url`, with its token if it wants one. Close it."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx2.Client(base_url=url, headers=headers, timeout=PATIENCE_SECONDS, trust_env=False)


def topology_from(client: httpx2.Client, minutes: int) -> Topology:
    """Return the topology of the last `minutes`. Raises NoAnswerError."""
    where = f"the agent at {without_password(str(client.base_url))}"
    try:
        with client.stream("GET", "/api/topology", params={"minutes": minutes}) as response:
            body = _bounded(response, where)
    except httpx2.TimeoutException:
        raise NoAnswerError(f"{where} takes longer than {PATIENCE_SECONDS:.0f} s to answer") from None
    except (httpx2.HTTPError, OSError) as error:
        raise NoAnswerError(f"{where} does not answer ({str(error) or type(error).__name__}); is it running?") from None
    if response.status_code == 401:
        raise NoAnswerError(f"{where} {_why_unauthorized(response.request)}")
    if response.status_code != 200:
        raise NoAnswerError(f"{where} answers with {response.status_code}{_problem(body)}")
    return _read_topology(body, where)


def _read_topology(body: bytes, where: str) -> Topology:
    try:
        return decode(body, type=Topology)
    except (DecodeError, RecursionError, UnicodeDecodeError) as error:
        answer = _decoded(body)
        is_map = isinstance(answer, dict) and all(isinstance(answer.get(part), list) for part in ("services", "edges"))
        if isinstance(error, ValidationError) and is_map:
            raise NoAnswerError(
                f"{where} is of another version of asyncdsm than this one ({__version__}), update it: {error}"
            ) from None
        raise NoAnswerError(f"{where} is not an asyncdsm agent: its answer is not a map") from None


def _why_unauthorized(request: httpx2.Request) -> str:
    if "Authorization" in request.headers:
        return f"was started with another token than the one given by --token, in {TOKEN}, or in the URL"
    return f"asks for its token: give it by --token, or in {TOKEN}"


def _bounded(response: httpx2.Response, where: str) -> bytes:
    body = bytearray()
    for part in response.iter_bytes():
        body += part
        if len(body) > MAX_ANSWER_BYTES:
            raise NoAnswerError(f"{where} answers with more than {MAX_ANSWER_BYTES} bytes; ask for fewer --minutes")
    return bytes(body)


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _problem(body: bytes) -> str:
    answer = _decoded(body)
    error = answer.get("error") if isinstance(answer, dict) else None
    problem = error.get("problem") if isinstance(error, dict) else None
    shown = "".join(character for character in str(problem or "")[:200] if character.isprintable())
    return f": {shown}" if shown else ""
