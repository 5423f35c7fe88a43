"""A request's headers, whatever a server or a middleware put there. The app still sees all of them.

ASGI calls them "an iterable of pairs of byte strings". Servers send lists of tuples; others send generators, strings,
other buffers than bytes, or no headers at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import Any

from asyncdsm.core import checkpoint
from asyncdsm_asgi.protocol import Scope
from asyncdsm_asgi.requests import TELLING, Headers


def push_headers(scope: Scope) -> Headers | None:
    """Return the headers of a request that may push a message, None for any other request. Never raises."""
    try:
        headers = _normalized(_read_again(scope, scope.get("headers")))
    except Exception:  # they cannot be read, or they cannot be replaced once they are read
        return None
    return headers if any(headers[name].startswith(TELLING[name]) for name in TELLING.keys() & headers) else None


def _normalized(headers: Iterable[Any]) -> Headers:
    """Return the headers that are pairs of buffers or strings, as bytes, without the others."""
    found = dict[bytes, bytes]()
    for header in headers:
        with suppress(TypeError, ValueError):
            name, value = header
            found[_bytes_of(name)] = _bytes_of(value)
    return found


def _bytes_of(value: Any) -> bytes:
    return value.encode("latin-1") if isinstance(value, str) else bytes(memoryview(value))


def _read_again(scope: Scope, headers: Any) -> Iterable[Any]:
    """Return headers that may be iterated; what can be iterated once only is replaced in the scope.

    Raises whatever a scope raises that takes no replacement: then nothing has been read.
    """
    if headers is None or isinstance(headers, Collection):
        return headers or ()
    if checkpoint.ensure_recorder() is None:  # nothing is measured, so nothing is touched
        return ()
    scope["headers"] = headers
    read, errors = list[Any](), list[Exception]()
    iterator = iter(headers)
    try:
        for header in iterator:
            read.append(header)
    except Exception as error:
        errors.append(error)
    if errors:
        scope["headers"] = _replay(read, errors)
    else:
        scope["headers"] = iter(read) if iterator is headers else read
    return read


def _replay(read: list[Any], errors: list[Exception]) -> Iterator[Any]:
    yield from read
    for error in errors:
        raise error
