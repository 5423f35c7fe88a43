"""Checks URLs of agents, and hides the passwords in them."""

from __future__ import annotations

_SCHEMES = {"http", "https", "unix"}
# Completes "NAME must be …".
ALLOWED = "an http://, https:// or unix:// URL of a host, without a query"


def is_url(value: object) -> bool:
    """Return whether a value is a URL that payloads can be sent to."""
    from urllib.parse import urlsplit  # noqa: PLC0415

    # `urlsplit` ignores control characters, which the HTTP client refuses.
    if not isinstance(value, str) or not value.isprintable():
        return False
    try:
        parts = urlsplit(value)
        if parts.query or parts.fragment or "@" in parts.path:  # a password with a / that should be written as %2F
            return False
        if parts.scheme == "unix":
            return bool(parts.path) and not parts.netloc
        return parts.scheme in {"http", "https"} and _is_host(parts.hostname or "") and parts.port != 0
    except ValueError:  # the port is not a number, or the address is not valid
        return False


def _is_host(name: str) -> bool:
    """Return whether the name of a host is valid. May raise ValueError instead of returning False."""
    if name.count(".") == 3 and name.replace(".", "").isdecimal():
        from ipaddress import IPv4Address  # noqa: PLC0415

        return bool(IPv4Address(name))
    if not name.isascii():
        from httpx2 import URL, InvalidURL  # noqa: PLC0415  (slow; only it knows which names it accepts)

        try:
            return bool(URL(f"http://{name}").host)
        except InvalidURL:
            return False
    return bool(name) and " " not in name


def without_password(url: object) -> object:
    """Return a URL as it may be shown: without user, password, query and fragment. Other values are returned as is."""
    if not isinstance(url, str):
        return url
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    if "@" in rest and scheme.lower() not in _SCHEMES:
        scheme = separator = ""
    address, *query = rest.replace("#", "?").split("?", 1)
    if query and "@" in query[0]:  # a password with a `?` in it
        return f"{scheme}{separator}…"
    _, at, host = address.rpartition("@")
    return f"{scheme}{separator}{'…@' if at else ''}{host}{'?…' if query else ''}"
