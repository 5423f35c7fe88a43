"""What to try if the connection to an OTLP endpoint fails: most receivers say nothing of TLS, and hang up."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from http import HTTPStatus

import httpx2

ASKS_FOR_CERTIFICATE = (
    "the receiver may ask for a client certificate: set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE to its file"
)
REFUSES_CERTIFICATE = (
    "the receiver may not trust the client certificate that OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE names"
)
SPEAKS_TLS = "the port may speak TLS: then OTEL_EXPORTER_OTLP_ENDPOINT begins with https://"
SPEAKS_NO_TLS = "the port may not speak TLS: then OTEL_EXPORTER_OTLP_ENDPOINT begins with http://"
NOT_TRUSTED = "OTEL_EXPORTER_OTLP_CERTIFICATE names a file of certificates to trust instead of the system's"
_FOREIGN_ANSWERS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
# How OpenSSL, in its releases, calls what is not of TLS.


def find_hint(error: BaseException, *, is_secure: bool, has_certificate: bool) -> str:
    """Return what may be wrong, given why the first request on a new connection got no answer; "" if unknown.

    `is_secure` says that the URL begins with https, `has_certificate` that a client certificate is set.
    """
    if not isinstance(error, (httpx2.NetworkError, httpx2.RemoteProtocolError, OSError)):
        return ""  # a timeout, or an error of this side
    if not is_secure:
        return SPEAKS_TLS
    causes = [cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)]
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return NOT_TRUSTED
    if any(cause.reason in _FOREIGN_ANSWERS for cause in causes):
        return SPEAKS_NO_TLS
    return REFUSES_CERTIFICATE if has_certificate else ASKS_FOR_CERTIFICATE


def find_hint_in_answer(status: int, body: bytes, *, is_secure: bool) -> str:
    """Return what may be wrong, given an answer: to a request without TLS, some servers say it in words; "" if unknown.

    `is_secure` says that the URL begins with https.
    """
    asks_for_tls = not is_secure and status == HTTPStatus.BAD_REQUEST and b"https" in body[:1000].lower()
    return SPEAKS_TLS if asks_for_tls else ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
