"""What an ASGI server passes to an app: the types, and the headers of a request in whatever form they come.

The types are loose, since each framework has its own. ASGI calls headers "an iterable of pairs of byte strings".
Servers pass lists of tuples; others pass generators, strings, other buffers than bytes, or no headers at all. The app
still gets all of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, MutableMapping
from contextlib import suppress
from typing import Any

from asyncdsm.integration import ensure_recorder
from asyncdsm_asgi.requests import PUSH_HEADERS, Headers

Scope = Any
Message = MutableMapping[str, Any]
Receive = Callable[..., Awaitable[Any]]
Send = Callable[..., Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]


def read_push_headers(scope: Scope) -> Headers | None:
    """Return the headers of a request that may push a message, None for any other request. Never raises."""
    try:
        headers = read_headers(scope)
    except Exception:  # they cannot be read, or they cannot be replaced once they are read
        return None
    names = PUSH_HEADERS.keys() & headers
    return headers if any(headers[name].startswith(PUSH_HEADERS[name]) for name in names) else None


def read_headers(scope: Scope) -> Headers:
    """Return the headers of a request, of two of a name the last one. Raises any error if they cannot be read."""
    return _normalize(_read_reusably(scope, scope.get("headers")))


def _normalize(headers: Iterable[Any]) -> Headers:
    """Return the headers that are pairs of buffers or strings, as bytes. Others are left out."""
    found = dict[bytes, bytes]()
    for header in headers:
        with suppress(TypeError, ValueError):
            name, value = header
            found[_to_bytes(name)] = _to_bytes(value)
    return found


def _to_bytes(value: Any) -> bytes:
    return value.encode("latin-1") if isinstance(value, str) else bytes(memoryview(value))


def _read_reusably(scope: Scope, headers: Any) -> Iterable[Any]:
    """Return headers to iterate. An object that can be iterated only once is replaced in the scope.

    Raises what a scope raises that does not accept the replacement: then no header has been read.
    """
    if headers is None or isinstance(headers, Collection):
        return headers or ()
    if ensure_recorder() is None:  # nothing is measured, so nothing is touched
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
