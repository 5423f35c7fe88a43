"""The address of a ClickHouse: `clickhouse://user:password@host:8123/database?cluster=name&secure=true`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from asyncdsm._internal.urls import without_password
from asyncdsm.errors import OptionError

SCHEME = "clickhouse"
PASSWORD_VARIABLE = "CLICKHOUSE_PASSWORD"  # noqa: S105  (the name of a variable)
"""The environment variable with the password, as for ClickHouse's own client, if the address has none."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_OPTIONS = {"cluster", "secure"}
_ALLOWED = "clickhouse://user:password@host:8123/database, with ?cluster=name or ?secure=true if need be"


class Address(NamedTuple):
    """Where a database of ClickHouse is. Its string has no password."""

    host: str
    port: int
    user: str
    password: str
    database: str
    secure: bool = False
    """Whether to use TLS."""
    cluster: str = ""
    """The cluster on which tables are created: replicated on each shard, and distributed over all."""

    def __str__(self) -> str:
        return f"{SCHEME}://{self.host}:{self.port}/{self.database}"


def is_address(store: str) -> bool:
    """Tell whether the option `--store` names a server rather than a file.

    Every URL is taken for one, so that none with a password becomes the name of a file.
    """
    return "://" in store or store.strip().lower().startswith(f"{SCHEME}:")


def parse_address(url: str, environ: Mapping[str, str]) -> Address:
    """Return an address. Raises OptionError, which does not show the password."""
    try:
        parts = urlsplit(url.strip())
        port, options = parts.port, dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        raise _refuse_address(url) from None
    database, secure = parts.path.strip("/") or "default", options.get("secure", "false").lower()
    cluster = options.get("cluster")
    if parts.scheme != SCHEME or not parts.hostname or parts.fragment or secure not in {"true", "false"}:
        raise _refuse_address(url)
    if port == 0:
        raise _refuse_address(url, "; ports are from 1 to 65535")
    if not options.keys() <= _OPTIONS:  # not named: it may be a part of a password
        raise _refuse_address(url, "; there are no other options than cluster and secure")
    if not all(_NAME.fullmatch(name) for name in (database, cluster) if name is not None):
        raise _refuse_address(url, "; names of databases and clusters have letters, digits and _")
    is_secure = secure == "true"
    return Address(
        parts.hostname,
        port or (8443 if is_secure else 8123),
        unquote(parts.username or "") or "default",
        unquote(parts.password) if parts.password is not None else environ.get(PASSWORD_VARIABLE, ""),
        database,
        is_secure,
        cluster or "",
    )


def _refuse_address(url: str, why: str = "") -> OptionError:
    return OptionError(f"--store must be a path or {_ALLOWED}{why}; got {_hide_password(url.strip())!r}")


def _hide_password(url: str) -> object:
    scheme, separator, _ = url.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):  # no URL, or a password has the separator
        return "…"
    return without_password(url)
