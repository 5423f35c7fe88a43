"""Asks an agent for the topology and for what is downstream, and explains in one line why there is no answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
from msgspec import DecodeError, ValidationError
from msgspec.json import decode

from asyncdsm._version import __version__
from asyncdsm.agent.queries.answers import Downstream, Transactions
from asyncdsm.agent.queries.version_answers import ServiceVersions
from asyncdsm.errors import AsyncDSMError
from asyncdsm.map.graph import Node
from asyncdsm.map.topology import Topology

Answer = TypeVar("Answer", Downstream, ServiceVersions, Transactions)

URL = "http://127.0.0.1:8126"
TOKEN = "ASYNCDSM_AGENT_TOKEN"  # noqa: S105  (the variable's name)
TIMEOUT_SECONDS = 20.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class NoAnswerError(AsyncDSMError, RuntimeError):
    """An agent did not answer with a topology. The message is one line: which agent, and why."""

    def __init__(self, problem: str, hint: str = "", rejected: str = "") -> None:
        """`hint` says what to do, for a command that ends with this error.

        `rejected` names the parameter of the request that the agent rejects.
        """
        super().__init__(problem)
        self.hint: str = hint
        self.rejected: str = rejected


def agent_url(text: str) -> str:
    """Return an agent's URL without a slash at its end. Raises ValueError if it is not a URL of an agent."""
    try:
        parts = urlsplit(text.rstrip("/"))
        port = parts.port
    except ValueError:
        raise ValueError(f"must be the URL of an agent, such as {URL}, got {text!r}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or parts.query or parts.fragment:
        raise ValueError(f"must be the URL of an agent, such as {URL}, got {text!r}")
    return parts.geturl()


def without_password(url: str) -> str:
    """Return a URL without its password, as it may be shown."""
    parts = urlsplit(url.rstrip("/"))
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def open_client(url: str, token: str | None) -> httpx2.Client:
    """Return an HTTP client for the agent at `url`, which must be closed; `token` is sent if there is one."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx2.Client(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)


def fetch_topology(client: httpx2.Client, minutes: int) -> Topology:
    """Return the topology of the last `minutes`. Raises NoAnswerError."""
    return _read_topology(_fetch_answer(client, "/api/topology", {"minutes": minutes}), _describe_agent(client))


def fetch_transactions(client: httpx2.Client, transaction_id: str | None) -> Transactions:
    """Return the business transaction with an id; without one, the latest and the late ones. Raises NoAnswerError."""
    parameters = {} if transaction_id is None else {"id": transaction_id}
    return _read_answer(client, "/api/transactions", parameters, Transactions)


def fetch_downstream(client: httpx2.Client, minutes: int, node: Node) -> Downstream:
    """Return what is downstream and upstream of a node in the last `minutes`. Raises NoAnswerError."""
    if node.kind == "service":
        named = {"service": node.name, "env": node.where}
    else:
        named = {"queue": node.name, "type": node.where, "cluster": node.cluster}
    return _read_answer(client, "/api/downstream", {"minutes": minutes, **named}, Downstream)


def fetch_versions(client: httpx2.Client, minutes: int, service: Node) -> ServiceVersions:
    """Return the versions of a service in the last `minutes`, side by side. Raises NoAnswerError."""
    parameters = {"minutes": minutes, "service": service.name, "env": service.where}
    return _read_answer(client, "/api/versions", parameters, ServiceVersions)


def _read_answer(client: httpx2.Client, path: str, parameters: Mapping[str, Any], kind: type[Answer]) -> Answer:
    body, where = _fetch_answer(client, path, parameters), _describe_agent(client)
    try:
        return decode(body, type=kind)
    except (DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise NoAnswerError(
            f"{where} is of another version of asyncdsm than this one ({__version__}), update it: {error}"
        ) from None


def _describe_agent(client: httpx2.Client) -> str:
    return f"the agent at {without_password(str(client.base_url))}"


def _fetch_answer(client: httpx2.Client, path: str, parameters: Mapping[str, Any]) -> bytes:
    where = _describe_agent(client)
    try:
        with client.stream("GET", path, params=parameters) as response:
            body = _read_body(response, where)
    except httpx2.TimeoutException:
        raise NoAnswerError(f"{where} did not answer within {TIMEOUT_SECONDS:.0f} s") from None
    except (httpx2.HTTPError, OSError) as error:
        problem = str(error) or type(error).__name__
        raise NoAnswerError(f"{where} does not answer ({problem})", "; `asyncdsm agent` starts one") from None
    if response.status_code == 401:
        raise NoAnswerError(f"{where} {_why_unauthorized(response.request)}")
    if response.status_code == 404 and not _describe_problem(body):
        raise NoAnswerError(f"{where} is not an asyncdsm agent: it has no map (HTTP status 404)")
    if response.status_code >= 500:
        raise NoAnswerError(f"{where} has an error (HTTP status {response.status_code}){_describe_problem(body)}")
    if response.status_code != 200:
        problem = f"{where} answers with HTTP status {response.status_code}{_describe_problem(body)}"
        raise NoAnswerError(problem, rejected=_find_rejected(body) if response.status_code == 400 else "")
    return body


def _read_topology(body: bytes, where: str) -> Topology:
    try:
        return decode(body, type=Topology)
    except (DecodeError, RecursionError, UnicodeDecodeError) as error:
        answer = _decode_json(body)
        is_map = isinstance(answer, dict) and all(isinstance(answer.get(part), list) for part in ("services", "edges"))
        if isinstance(error, ValidationError) and is_map:
            raise NoAnswerError(
                f"{where} is of another version of asyncdsm than this one ({__version__}), update it: {error}"
            ) from None
        raise NoAnswerError(f"{where} is not an asyncdsm agent: its answer is not a map") from None


def _why_unauthorized(request: httpx2.Request) -> str:
    if "Authorization" in request.headers:
        return f"was started with another token than the one given by --token, in {TOKEN}, or in the URL"
    return f"requires its token: give it by --token, or in {TOKEN}"


def _read_body(response: httpx2.Response, where: str) -> bytes:
    body = bytearray()
    for part in response.iter_bytes():
        body += part
        if len(body) > MAX_ANSWER_BYTES:
            raise NoAnswerError(f"{where} answers with more than {MAX_ANSWER_BYTES} bytes; try fewer --minutes")
    return bytes(body)


def _decode_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _find_rejected(body: bytes) -> str:
    """Return which parameter of a request an agent rejects, as its answer says; empty if it does not."""
    return str(_decode_error(body).get("path") or "")


def _decode_error(body: bytes) -> dict[str, Any]:
    answer = _decode_json(body)
    error = answer.get("error") if isinstance(answer, dict) else None
    return error if isinstance(error, dict) else {}


def _describe_problem(body: bytes) -> str:
    problem = _decode_error(body).get("problem")
    shown = "".join(character for character in str(problem or "")[:200] if character.isprintable())
    return f": {shown}" if shown else ""
