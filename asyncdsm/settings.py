"""What can be set, from the environment (protocol §8) or in code. Every wrong value is one clear error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from os.path import exists
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from asyncdsm._internal.urls import ALLOWED, is_url
from asyncdsm._internal.urls import without_password as without_password  # noqa: PLC0414  (where others look for it)
from asyncdsm.errors import SettingError

DEFAULT_SOCKET = "/var/run/datadog/apm.socket"
DEFAULT_SERVICE = "unnamed-python-service"
DEFAULT_PORT = 8126
DEFAULT_SITE = "datadoghq.com"


class _Values(NamedTuple):
    # A named tuple, since a dataclass would make `import asyncdsm` a quarter longer.
    enabled: bool = True
    service: str = DEFAULT_SERVICE
    env: str | None = None
    version: str | None = None
    hostname: str = ""
    primary_tag: str | None = None
    agent_url: str = f"http://localhost:{DEFAULT_PORT}"
    """Where the Agent listens: `http://`, `https://` or `unix://`; the intake itself when `api_key` is set."""
    api_key: str | None = None
    """Set for delivery without an Agent."""
    agent_token: str | None = None
    """What an `asyncdsm agent --token` asks for. A password in `agent_url` comes before it."""
    external_env: str | None = None
    bucket_seconds: float = 10.0
    flush_seconds: float = 10.0
    request_seconds: float = 10.0
    """How long one delivery may take before it is tried again."""
    shutdown_seconds: float = 5.0
    """How long the last delivery may take on the way out."""
    max_points: int = 10_000
    """Distinct (edge, parent) pairs and offsets kept per bucket; beyond it checkpoints are counted as dropped."""
    max_outbox_bytes: int = 32 * 1024 * 1024
    max_header_bytes: int = 256
    """A longer context header is not read (today's have 28)."""


class Settings(_Values):
    """Everything that can be set. `Settings()` is the default; `Settings.from_environ(os.environ)` reads protocol §8.

    Raises SettingError where a value is not one the setting can have.
    """

    __slots__ = ()

    if not TYPE_CHECKING:  # for a type checker, the arguments are the fields above

        def __new__(cls, *values: Any, **given: Any) -> Self:  # values: when it is copied or unpickled
            settings = super().__new__(cls, *values, **given)
            settings._check()
            return settings

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.shown().items())})"

    def shown(self) -> dict[str, Any]:
        """Return each setting as it may be shown: without the key, the token, and a password in the URL."""
        return {name: shown(name, value) for name, value in zip(self._fields, self, strict=True)}

    def _check(self) -> None:
        for name, allowed, is_allowed in _RULES:
            if not is_allowed(getattr(self, name)):
                raise SettingError(name, shown(name, getattr(self, name)), allowed)

    @classmethod
    def from_environ(
        cls,
        environ: Mapping[str, str],
        *,
        hostname: Callable[[], str] | None = None,
        socket_exists: Callable[[str], bool] = exists,
        **explicit: Any,
    ) -> Self:
        """Read the environment of protocol §8; whatever is given by name wins.

        Empty variables count as not set, as they do for ddtrace. Raises SettingError naming the variable.
        """
        found = {name: value for name, value, _ in _read(environ, socket_exists)}
        found.setdefault("hostname", (hostname or _hostname)())
        return cls(**{**found, **explicit})


def sources(environ: Mapping[str, str], *, socket_exists: Callable[[str], bool] = exists) -> dict[str, str]:
    """Return where each setting that is not a default comes from: the variable's name. Raises SettingError."""
    return {name: source for name, _, source in _read(environ, socket_exists)}


def _read(environ: Mapping[str, str], socket_exists: Callable[[str], bool]) -> Iterator[tuple[str, Any, str]]:
    """Yield each setting's name, its value and the variable it comes from; of two for one setting, the later wins."""
    attributes = "OTEL_RESOURCE_ATTRIBUTES"
    resource, tags = _resource(environ.get(attributes, "")), _tags(environ.get("DD_TAGS", ""))
    aliases = (  # in the order in which ddtrace prefers the later
        ("service", resource.get("service.name"), attributes),
        ("env", resource.get("deployment.environment.name") or resource.get("deployment.environment"), attributes),
        ("version", resource.get("service.version"), attributes),
        *((name, tags.get(name), "DD_TAGS") for name in ("service", "env", "version")),
        ("service", environ.get("OTEL_SERVICE_NAME"), "OTEL_SERVICE_NAME"),
    )
    yield from ((name, _text(variable, value), variable) for name, value, variable in aliases if value)
    for variable, (name, read) in _VARIABLES.items():
        if value := environ.get(variable):
            yield name, read(variable, value), variable
    yield from _destination(environ, socket_exists)


def _destination(environ: Mapping[str, str], socket_exists: Callable[[str], bool]) -> Iterator[tuple[str, Any, str]]:
    host_variable = next((name for name in ("DD_AGENT_HOST", "DD_TRACE_AGENT_HOSTNAME") if environ.get(name)), None)
    port = next((name for name in ("DD_TRACE_AGENT_PORT", "DD_AGENT_PORT") if environ.get(name)), None)
    if url := environ.get("DD_TRACE_AGENT_URL"):
        yield "agent_url", _url("DD_TRACE_AGENT_URL", url), "DD_TRACE_AGENT_URL"
    elif host_variable or port:
        number = _port(port, environ[port]) if port else DEFAULT_PORT
        host = _host(host_variable, environ[host_variable]) if host_variable else "localhost"
        yield "agent_url", f"http://{host}:{number}", ", ".join(filter(None, (host_variable, port)))
    elif socket_exists(DEFAULT_SOCKET):
        yield "agent_url", f"unix://{DEFAULT_SOCKET}", "the Agent's socket, which exists"
    elif environ.get("DD_API_KEY") and environ.get("DD_SITE"):
        yield "agent_url", f"https://trace.agent.{_site('DD_SITE', environ['DD_SITE'])}", "DD_SITE"
        yield "api_key", _key("DD_API_KEY", environ["DD_API_KEY"].strip()), "DD_API_KEY"


def _hostname() -> str:
    from socket import gethostname  # noqa: PLC0415  (what a start can wait for, an import should not)

    return gethostname()


def _resource(text: str) -> dict[str, str]:
    from urllib.parse import unquote  # noqa: PLC0415

    pairs = (pair.split("=", 1) for pair in text.split(",") if "=" in pair)
    return {key.strip(): unquote(value.strip()) for key, value in pairs}


def _tags(text: str) -> dict[str, str]:
    """Return the pairs of DD_TAGS: `key:value`, separated by commas, or by spaces where there is no comma."""
    pairs = (pair.split(":", 1) for pair in text.split("," if "," in text else None) if ":" in pair)
    return {key.strip(): value.strip() for key, value in pairs}


def _flag(variable: str, value: str) -> bool:
    lowered = value.strip().lower()
    if lowered in {"true", "1", "yes", "on"}:
        return True
    if lowered in {"false", "0", "no", "off"}:
        return False
    raise SettingError(variable, value, "true or false")


def _seconds(variable: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 < number <= 86_400:
        raise SettingError(variable, value, "a number of seconds above 0 and at most 86400")
    return number


def _port(variable: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) < 10 and 1 <= int(value) <= 65_535):
        raise SettingError(variable, value, "a port from 1 to 65535")
    return int(value)


def _host(variable: str, value: str) -> str:
    """Return a host as it stands in a URL: an IPv6 address in brackets."""
    bracketed = f"[{value}]" if ":" in value and not value.startswith("[") else value
    if any(character in value for character in "/?#@\\") or not is_url(f"http://{bracketed}:{DEFAULT_PORT}"):
        raise SettingError(variable, without_password(value), _HOST)
    return bracketed


def _site(variable: str, value: str) -> str:
    if not value.replace(".", "").replace("-", "").isalnum():
        raise SettingError(variable, value, f"a host name such as {DEFAULT_SITE}")
    return value


def _url(variable: str, value: str) -> str:
    if not is_url(value):
        raise SettingError(variable, without_password(value), ALLOWED)
    return value


def _key(variable: str, value: str) -> str:
    if not _is_header(value):
        raise SettingError(variable, shown("api_key", value), _HEADER)
    return value


def _token(variable: str, value: str) -> str:
    if not _is_header(value.strip()):
        raise SettingError(variable, shown("agent_token", value), _HEADER)
    return value.strip()


def _header(variable: str, value: str) -> str:
    if not _is_header(value):
        raise SettingError(variable, value, _HEADER)
    return value


def _text(variable: str, value: str) -> str:
    if not _is_text(value):
        raise SettingError(variable, value, _TEXT)
    return value


def shown(name: str, value: object) -> object:
    """Return the value of a setting as it may be shown."""
    if name in {"api_key", "agent_token"}:
        return None if value is None else "…"
    return without_password(value) if name == "agent_url" else value


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= sys.maxsize


def _is_count(value: object) -> bool:
    return isinstance(value, int) and _is_positive(value)


def _is_text(value: object) -> bool:
    """Say whether it is a text that has bytes in UTF-8, as not all have that stand in the environment."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_optional_text(value: object) -> bool:
    return value is None or _is_text(value)


def _is_header(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and bool(value.strip())


def _is_optional_header(value: object) -> bool:
    return value is None or _is_header(value)


_TEXT = "a text in UTF-8"
_HOST = "a host name or an IP address, without scheme, port and path; a URL is what DD_TRACE_AGENT_URL takes"
_HEADER = "printable ASCII, as it becomes a header of HTTP"

_VARIABLES: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "DD_DATA_STREAMS_ENABLED": ("enabled", _flag),
    "DD_SERVICE": ("service", _text),
    "DD_ENV": ("env", _text),
    "DD_VERSION": ("version", _text),
    "DD_HOSTNAME": ("hostname", _text),
    "DD_PRIMARY_TAG": ("primary_tag", _text),
    "DD_EXTERNAL_ENV": ("external_env", _header),
    "ASYNCDSM_AGENT_TOKEN": ("agent_token", _token),
    "DD_DATA_STREAMS_BUCKET_DURATION_SECONDS": ("bucket_seconds", _seconds),
    "_DD_TRACE_STATS_WRITER_INTERVAL": ("flush_seconds", _seconds),
}

_RULES: tuple[tuple[str, str, Callable[[object], bool]], ...] = (
    ("enabled", "True or False", lambda value: isinstance(value, bool)),
    ("service", "a text that is not empty", lambda value: _is_text(value) and bool(value)),
    ("env", "a text or None", _is_optional_text),
    ("version", "a text or None", _is_optional_text),
    ("hostname", "a text", _is_text),
    ("primary_tag", "a text or None", _is_optional_text),
    ("agent_url", ALLOWED, is_url),
    ("api_key", f"None, or {_HEADER}", _is_optional_header),
    ("agent_token", f"None, or {_HEADER}", _is_optional_header),
    ("external_env", f"None, or {_HEADER}", _is_optional_header),
    ("bucket_seconds", "a number of seconds above 0", _is_positive),
    ("flush_seconds", "a number of seconds above 0", _is_positive),
    ("request_seconds", "a number of seconds above 0", _is_positive),
    ("shutdown_seconds", "a number of seconds above 0", _is_positive),
    ("max_points", "a whole number above 0", _is_count),
    ("max_outbox_bytes", "a whole number above 0", _is_count),
    ("max_header_bytes", "a whole number above 0", _is_count),
)
