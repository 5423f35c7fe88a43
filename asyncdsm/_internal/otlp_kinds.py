"""The kinds of settings that only the delivery over OTLP has."""

from __future__ import annotations

from typing import Any

from asyncdsm._internal.setting_kinds import LONGEST_SECONDS, SECONDS, Kind, is_encodable
from asyncdsm._internal.urls import is_url, without_password

AGENT, OTLP = "agent", "otlp"
PROTOCOL_NAME = "http/protobuf"
COMPRESSIONS = ("gzip", "none")
TEMPORALITIES = ("cumulative", "delta", "lowmemory")
LEAST_MILLISECONDS = 1000
"""A timeout of this or more is in milliseconds, as the specification has it; less is in seconds, as in OpenTelemetry's
SDK for Python."""
_NAME_CHARACTERS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
# What a header's name may have, in lower case (RFC 9110 §5.6.2).
RESERVED_HEADERS = (
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
)
"""Headers that say how a request is sent: whoever sends it sets them. In order of the alphabet."""

Pairs = tuple[tuple[str, str], ...]


def _is_otlp_url(value: object) -> bool:
    return is_url(value) and not str(value).lower().startswith("unix:")


def _are_destinations(value: object) -> bool:
    return isinstance(value, tuple) and bool(value) and set(value) <= {AGENT, OTLP} and len(set(value)) == len(value)


def _parse_destinations(text: str) -> tuple[str, ...]:
    return tuple(each.strip().lower() for each in text.split(","))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and is_encodable(value)


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_text, value))


def _are_pairs(value: object) -> bool:
    return isinstance(value, tuple) and all(_is_pair(pair) and pair[0] for pair in value)


def _are_headers(value: Any) -> bool:
    return _are_pairs(value) and all(_is_header(*pair) for pair in value)


def _is_header(name: str, text: str) -> bool:
    if name.lower() in RESERVED_HEADERS:
        return False
    return _NAME_CHARACTERS.issuperset(name.lower()) and text.isascii() and text.isprintable() and text == text.strip()


def _parse_pairs(text: str) -> Pairs:
    """Return the pairs `name=value`, which are separated by commas, with values decoded as in a URL."""
    from urllib.parse import unquote  # noqa: PLC0415

    pairs = [pair.split("=", 1) for pair in text.split(",") if pair.strip()]
    if any(len(pair) != 2 or not pair[0].strip() for pair in pairs):
        raise ValueError
    return tuple((unquote(name.strip()), unquote(value.strip())) for name, value in pairs)


def _hide_values(value: object) -> object:
    if not isinstance(value, tuple):
        return "…"
    return tuple((pair[0], "…") if isinstance(pair, tuple) and pair else "…" for pair in value)


def _parse_timeout(text: str) -> float:
    seconds = float(text) if text.isascii() else 0.0
    if seconds >= LEAST_MILLISECONDS:
        seconds /= 1000
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ValueError
    return seconds


def _one_of(*names: str, hint: str = "") -> Kind:
    def is_allowed(value: object) -> bool:
        return value in names

    return Kind(f"{' or '.join(names)}{hint}", is_allowed, parse=_parse_lowered)


def _parse_lowered(text: str) -> str:
    return text.strip().lower()


OTLP_URL = Kind(
    "an http:// or https:// URL of a host, without a query",
    _is_otlp_url,
    parse=str.strip,
    show=without_password,
)
DESTINATIONS = Kind(
    'a tuple of "agent", "otlp" or both',
    _are_destinations,
    parse=_parse_destinations,
    allowed_text="agent, otlp or agent,otlp",
)
_NOT_RESERVED = f"but none of {', '.join(RESERVED_HEADERS)}"
HEADERS = Kind(
    f"a tuple of pairs, each the name of an HTTP header, {_NOT_RESERVED}, and its value in printable ASCII",
    _are_headers,
    parse=_parse_pairs,
    allowed_text=f"name=value pairs of HTTP headers in printable ASCII, separated by commas, {_NOT_RESERVED}",
    show=_hide_values,
)
ATTRIBUTES = Kind(
    "a tuple of pairs of strings that can be encoded as UTF-8",
    _are_pairs,
    parse=_parse_pairs,
    allowed_text="name=value pairs in UTF-8, separated by commas",
)
PROTOCOL = _one_of(
    PROTOCOL_NAME, hint=", the only one that asyncdsm speaks (ASYNCDSM_DESTINATIONS=agent turns OTLP off)"
)
COMPRESSION = _one_of(*COMPRESSIONS)
TEMPORALITY = _one_of(*TEMPORALITIES)
TIMEOUT = Kind(
    SECONDS.allowed,
    SECONDS.is_allowed,
    parse=_parse_timeout,
    allowed_text=f"a number of seconds above 0, or of milliseconds from {LEAST_MILLISECONDS} on",
)
