"""How environment variables are read: alone, pairs inside of them, and those that give the Agent's address.

The variables are those of protocol §8. A variable that is empty, or has only spaces, counts as not set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from asyncdsm._internal.setting_kinds import AGENT_URL, SECRET, Kind
from asyncdsm._internal.urls import is_url, without_password

DEFAULT_SOCKET = "/var/run/datadog/apm.socket"
DEFAULT_PORT = 8126

URL_VARIABLE = "DD_TRACE_AGENT_URL"
HOST_VARIABLES = ("DD_AGENT_HOST", "DD_TRACE_AGENT_HOSTNAME")
PORT_VARIABLES = ("DD_TRACE_AGENT_PORT", "DD_AGENT_PORT")
SITE_VARIABLE, KEY_VARIABLE = "DD_SITE", "DD_API_KEY"

Found = tuple[str, str]
"""A string, and what it comes from: an environment variable, several of them, or a file."""


def read_text(environ: Mapping[str, str], variable: str) -> str:
    """Return the string of a variable; an empty one if it is not set, or has only spaces."""
    text = environ.get(variable, "")
    return text if text.strip() else ""


def first_text(environ: Mapping[str, str], variables: Iterable[str]) -> Found | None:
    """Return the first string that is more than spaces among these variables, and the name of its variable.

    `DD_TAGS:env` stands for the pair `env` in the value of `DD_TAGS`; OTEL_RESOURCE_ATTRIBUTES holds pairs, too.
    """
    for variable, _, key in (each.partition(":") for each in variables):
        text = read_text(environ, variable)
        if key:
            text = _PARSE_PAIRS[variable](text).get(key, "")
        if text:
            return text, variable
    return None


def find_agent_url(environ: Mapping[str, str], socket_exists: Callable[[str], bool]) -> Found | None:
    """Return the URL to send payloads to, and what it comes from; None for the default.

    The first of these that is there: a URL, a host or a port, the socket of a local Agent, a site with a key.
    Raises SettingError.
    """
    if url := read_text(environ, URL_VARIABLE):
        return AGENT_URL.parse(URL_VARIABLE, url), URL_VARIABLE
    if found := _find_host_and_port(environ):
        return found
    if socket_exists(DEFAULT_SOCKET):
        return f"unix://{DEFAULT_SOCKET}", "the Agent's socket, which exists"
    if read_text(environ, KEY_VARIABLE) and (site := read_text(environ, SITE_VARIABLE)):
        return f"https://trace.agent.{_SITE.parse(SITE_VARIABLE, site)}", SITE_VARIABLE
    return None


def find_api_key(environ: Mapping[str, str], socket_exists: Callable[[str], bool]) -> Found | None:
    """Return the API key, and its variable, if payloads are sent to Datadog itself. Raises SettingError."""
    found = find_agent_url(environ, socket_exists)
    if found is None or found[1] != SITE_VARIABLE:
        return None
    return SECRET.parse(KEY_VARIABLE, environ[KEY_VARIABLE]), KEY_VARIABLE


def _find_host_and_port(environ: Mapping[str, str]) -> Found | None:
    host, port = first_text(environ, HOST_VARIABLES), first_text(environ, PORT_VARIABLES)
    if host is None and port is None:
        return None
    port_number = _PORT.parse(port[1], port[0]) if port else DEFAULT_PORT
    host_name = _HOST.parse(host[1], host[0]) if host else "localhost"
    return f"http://{host_name}:{port_number}", ", ".join(found[1] for found in (host, port) if found)


def _parse_tags(text: str) -> dict[str, str]:
    """Return the pairs `key:value`, which are separated by commas, or by spaces if there is no comma."""
    pairs = (pair.split(":", 1) for pair in text.split("," if "," in text else None) if ":" in pair)
    return {key.strip(): value.strip() for key, value in pairs}


def _parse_resource_attributes(text: str) -> dict[str, str]:
    """Return the pairs `key=value`, which are separated by commas, with values decoded as in a URL."""
    from urllib.parse import unquote  # noqa: PLC0415

    pairs = (pair.split("=", 1) for pair in text.split(",") if "=" in pair)
    return {key.strip(): unquote(value.strip()) for key, value in pairs}


_PARSE_PAIRS = {"DD_TAGS": _parse_tags, "OTEL_RESOURCE_ATTRIBUTES": _parse_resource_attributes}


def _parse_host(text: str) -> str:
    """Return a host as a URL contains it: an IPv6 address in brackets."""
    host = f"[{text}]" if ":" in text and not text.startswith("[") else text
    if any(character in text for character in "/?#@\\") or not is_url(f"http://{host}:{DEFAULT_PORT}"):
        raise ValueError
    return host


def _parse_port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= 65_535):
        raise ValueError
    return int(text)


def _parse_site(text: str) -> str:
    if not text.replace(".", "").replace("-", "").isalnum():
        raise ValueError
    return text


def _is_parsed(_: object) -> bool:
    return True


_HOST = Kind(
    f"a host name or an IP address, without scheme, port and path ({URL_VARIABLE} takes a URL)",
    _is_parsed,
    parse=_parse_host,
    show=without_password,
)
_PORT = Kind("a port from 1 to 65535", _is_parsed, parse=_parse_port)
_SITE = Kind("a host name such as datadoghq.com", _is_parsed, parse=_parse_site)
