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
    """Tell whether the option `--store` names a ClickHouse rather than a file."""
    return store.startswith(f"{SCHEME}://")


def parse_address(url: str, environ: Mapping[str, str]) -> Address:
    """Return an address. Raises OptionError, which does not show the password."""
    try:
        parts = urlsplit(url)
        port, options = parts.port, dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        raise _refuse_address(url) from None
    database, secure = parts.path.lstrip("/") or "default", options.get("secure", "false")
    names = [database, *([options["cluster"]] if "cluster" in options else [])]
    if not parts.hostname or parts.fragment or not set(options) <= _OPTIONS or secure not in {"true", "false"}:
        raise _refuse_address(url)
    if not all(_NAME.fullmatch(name) for name in names):
        raise _refuse_address(url)
    is_secure = secure == "true"
    return Address(
        parts.hostname,
        port or (8443 if is_secure else 8123),
        unquote(parts.username or "") or "default",
        unquote(parts.password) if parts.password is not None else environ.get(PASSWORD_VARIABLE, ""),
        database,
        is_secure,
        options.get("cluster", ""),
    )


def _refuse_address(url: str) -> OptionError:
    return OptionError(f"--store must be a path or {_ALLOWED}; got {without_password(url)!r}")
