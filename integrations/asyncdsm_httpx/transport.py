"""The transport of one request: it puts the context on a copy, so that the caller's request stays what it is.

The same request may be sent twice at once, its headers are copied for a redirect, and the caller finds it again in
`response.request`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from asyncdsm.integration import HEADER, guarded


class ContextTransport:
    """Lets a client's own transport send a copy of the request, with the context among its headers."""

    def __init__(self, transport: Any, header: str) -> None:
        self._transport, self._header = transport, header

    def handle_request(self, request: Any) -> Any:
        """Send a request, and return the response."""
        with _sent_as_copy(request, self._header) as copied:
            return self._transport.handle_request(copied)

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request, and return the response."""
        with _sent_as_copy(request, self._header) as copied:
            return await self._transport.handle_async_request(copied)


@contextmanager
def _sent_as_copy(request: Any, header: str) -> Iterator[Any]:
    """Provide the request to send: a copy with the context, or the request itself if it cannot be copied."""
    copied = _copy_request(request, header)
    try:
        yield request if copied is None else copied
    finally:
        if copied is not None:
            _write_back(request, copied)


@guarded
def _copy_request(request: Any, header: str) -> Any:
    copied = object.__new__(type(request))  # `copy.copy` would leave out the body
    vars(copied).update(vars(request))
    copied.headers = request.headers.copy()
    copied.headers[HEADER] = header
    return copied


@guarded
def _write_back(request: Any, copied: Any) -> None:
    """Make the changes of the transport visible on the caller's request: a body that was read, a header added."""
    headers = copied.headers.copy()
    headers.pop(HEADER, None)
    if HEADER in request.headers:
        headers[HEADER] = request.headers[HEADER]
    is_unchanged = headers == request.headers
    vars(request).update(vars(copied), headers=request.headers if is_unchanged else headers)
