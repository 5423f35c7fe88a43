"""Posts requests of OTLP to an endpoint (OTLP 1.x over HTTP, binary protobuf)."""

from __future__ import annotations

import ssl
import zlib
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, NamedTuple

import anyio
import httpx2
from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from asyncdsm._internal.log import pluralize, warn_each_minute
from asyncdsm._internal.otlp_environment import DEFAULT_ENDPOINT
from asyncdsm._version import __version__
from asyncdsm.core.counters import Counters
from asyncdsm.delivery.exporters.http import (
    HandshakeGuard,
    describe_error,
    describe_foreign_answer,
    is_page,
    parse_retry_after,
    quiet_requests,
    quote_problem,
    read_answer,
    split_credentials,
)
from asyncdsm.delivery.otlp.connection_hints import find_hint, find_hint_in_answer
from asyncdsm.delivery.otlp.tls import make_tls_context
from asyncdsm.errors import PayloadRefusedError, TemporaryDeliveryError
from asyncdsm.settings import Settings

RETRYABLE = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
"""The statuses after which a request may be sent again. After any other failure it must not be."""


_PROTOBUF_TYPES = {"application/x-protobuf", "application/protobuf"}
_JSON_TYPE = "application/json"
_GZIP = 31  # the `wbits` of zlib with which it writes a header and a checksum as gzip does


class EndpointCheck(NamedTuple):
    """The answer of an OTLP endpoint to an empty request."""

    answers: bool
    problem: str | None
    """Why it does not answer, or why it would refuse payloads."""
    status: int | None = None
    """The HTTP status of its answer."""
    hint: str = ""
    """What to do about the connection, if that failed; empty if it is not known."""


class OtlpExporter:
    """Posts payloads to `settings.otlp_endpoint`. Create it in a worker thread: it loads certificates from disk."""

    def __init__(self, settings: Settings, counters: Counters | None = None) -> None:
        """`counters` count the data points that the receiver leaves out. Raises SettingError."""
        self._url, auth = split_credentials(settings.otlp_endpoint or DEFAULT_ENDPOINT)
        self._seconds, self._compression, self._counters = settings.otlp_seconds, settings.otlp_compression, counters
        self._is_secure, self._has_certificate = self._url.scheme == "https", bool(settings.otlp_client_certificate)
        self._has_answered = False
        headers = httpx2.Headers({"User-Agent": f"asyncdsm/{__version__}"})
        for name, value in settings.otlp_headers:  # one of each name, whatever its case: the last
            headers[name] = value
        headers["Content-Type"] = "application/x-protobuf"
        headers["Accept-Encoding"] = "identity"  # answers are short, and read as they come
        if settings.otlp_compression == "gzip":
            headers["Content-Encoding"] = "gzip"
        self._client = httpx2.AsyncClient(
            auth=auth,
            headers=headers,
            verify=make_tls_context(settings) if self._is_secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            timeout=settings.otlp_seconds,
        )

    async def export(self, payload: bytes) -> None:
        """Post one payload. Raises TemporaryDeliveryError or PayloadRefusedError."""
        status, headers, body = await self._post(payload)
        if 200 <= status < 300:
            if not _is_answer(headers, body):
                raise TemporaryDeliveryError(describe_foreign_answer(status, headers, "OTLP"))
            self._note_partial_success(headers, body)
        elif status in RETRYABLE:
            raise TemporaryDeliveryError(f"HTTP status {status}", parse_retry_after(headers.get("Retry-After")))
        else:
            raise PayloadRefusedError(f"HTTP status {status}{self._describe_refusal(status, headers, body)}")

    async def check(self) -> EndpointCheck:
        """Send an empty request, for at most `otlp_seconds`. Raises nothing."""
        try:
            with anyio.fail_after(self._seconds):
                status, headers, body = await self._post(encode_body((), self._compression))
        except TimeoutError:
            return EndpointCheck(answers=False, problem=f"no answer within {self._seconds:g} s")
        except TemporaryDeliveryError as error:
            return EndpointCheck(answers=False, problem=str(error), hint=error.hint)
        problem: str | None = None
        hint = find_hint_in_answer(status, body, is_secure=self._is_secure)
        if not 200 <= status < 300:
            problem = f"HTTP status {status}{self._describe_refusal(status, headers, body)}"
        elif not _is_answer(headers, body):
            problem = describe_foreign_answer(status, headers, "OTLP")
        return EndpointCheck(answers=True, problem=problem, status=status, hint=hint)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _post(self, payload: bytes) -> tuple[int, httpx2.Headers, bytes]:
        guard = HandshakeGuard()
        try:
            with quiet_requests():
                async with (
                    guard,
                    self._client.stream(
                        "POST", self._url, content=payload, extensions={"trace": guard.trace}
                    ) as answer,
                ):
                    body = await read_answer(answer)
                    self._has_answered = True
                    return answer.status_code, answer.headers, body
        except (httpx2.HTTPError, OSError) as error:
            raise self._translate_error(error, guard) from error

    def _translate_error(self, error: Exception, guard: HandshakeGuard) -> TemporaryDeliveryError:
        hint = ""
        if guard.has_connected and not guard.has_answer and not self._has_answered:
            hint = find_hint(error, is_secure=self._is_secure, has_certificate=self._has_certificate)
        return TemporaryDeliveryError(describe_error(error), hint=hint)

    def _describe_refusal(self, status: int, headers: httpx2.Headers, body: bytes) -> str:
        is_text = headers.get("Content-Type", "").lower().startswith("text/plain")
        said = quote_problem(body.decode("utf-8", "replace").strip()) if is_text else ""
        hint = find_hint_in_answer(status, body, is_secure=self._is_secure)
        return f"{said}; {hint}" if hint else said

    def _note_partial_success(self, headers: httpx2.Headers, body: bytes) -> None:
        try:
            partial: Any = _decode_answer(headers, body).partial_success
        except (DecodeError, ParseError):  # the payload was accepted, whatever the answer says
            return
        if self._counters is not None and partial.rejected_data_points > 0:
            self._counters.increment("rejected_points", partial.rejected_data_points)
            warn_each_minute(
                "rejected-points",
                "asyncdsm sent %s that the OTLP endpoint left out; it took the rest of the payload%s",
                pluralize(partial.rejected_data_points, "data point"),
                quote_problem(partial.error_message),
            )


def _is_answer(headers: httpx2.Headers, body: bytes) -> bool:
    """Return whether a body is one that a receiver of OTLP sends.

    Some send none, some send JSON, and some forget to say what they send. A web page is none, whatever it says.
    """
    if not body:
        return True
    if is_page(headers, body):
        return False
    if _kind_of(headers) in {*_PROTOBUF_TYPES, _JSON_TYPE} or headers.get("Content-Encoding", "identity") != "identity":
        return True
    try:
        answer = _decode_answer(headers, body)
    except (DecodeError, ParseError):
        return False
    return _is_json(headers, body) or answer.HasField("partial_success")  # short words are protobuf, too


def _decode_answer(headers: httpx2.Headers, body: bytes) -> Any:
    """Return the message in a body, in protobuf or JSON. Raises DecodeError or ParseError."""
    if _is_json(headers, body):
        return Parse(body.decode("utf-8", "replace"), ExportMetricsServiceResponse(), ignore_unknown_fields=True)
    return ExportMetricsServiceResponse.FromString(body)


def _is_json(headers: httpx2.Headers, body: bytes) -> bool:
    return _kind_of(headers) == _JSON_TYPE or body.lstrip()[:1] == b"{"


def _kind_of(headers: httpx2.Headers) -> str:
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def encode_body(parts: Iterable[bytes], compression: str) -> bytes:
    """Return the parts of a request as a body, which is compressed as the setting says."""
    if compression != "gzip":
        return b"".join(parts)
    gzip = zlib.compressobj(level=1, wbits=_GZIP)
    return b"".join((*map(gzip.compress, parts), gzip.flush()))
