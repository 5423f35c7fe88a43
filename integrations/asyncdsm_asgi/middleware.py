"""The middleware: a clean pathway for each request, or that of the message which the request pushes."""

from __future__ import annotations

from asyncdsm import DataStreams
from asyncdsm.core import checkpoint, current
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.integration.lifetime import start_standby_async
from asyncdsm_asgi import body, lifetime, requests
from asyncdsm_asgi.headers import push_headers
from asyncdsm_asgi.protocol import App, Receive, Scope, Send

_SEEN = "asyncdsm"
"""In the scope while a request is handled: apps and their middleware may be nested."""


class DataStreamsMiddleware:
    """Measures while the app lives. Each request starts from a clean pathway, so that what it produces never hangs
    on a message that some background task consumed.

    A request that pushes a message is a consume checkpoint: one with `dd-pathway-ctx-base64` among its headers, from
    Amazon SNS, EventBridge API destinations or Google Pub/Sub, or a CloudEvent. Where anybody may send requests,
    `pushed=False` takes none for a message. Pure ASGI, on asyncio and trio.
    """

    def __init__(self, app: App, *, pushed: bool = True) -> None:
        self.app: App = app
        self.pushed: bool = pushed
        self._lives = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or the app's lifespan. **Hot**: what a plain request waits for is all in here."""
        try:
            kind = None if _SEEN in scope else scope.get("type")
        except Exception:  # this is no dict: the app knows what to do with it
            kind = None
        if kind is None:
            return await self.app(scope, receive, send)
        try:
            scope[_SEEN] = is_marked = True
        except Exception:  # it is read-only
            is_marked = False
        before = current.snapshot()
        try:
            if kind == "lifespan":
                return await lifetime.run(self.app, self._stand_by, scope, receive, send)
            if not self._lives:  # the server told nothing of a lifespan: the interpreter's exit ends the measuring
                await self._stand_by()
            current.set_current(None)
            if self.pushed and kind == "http":
                headers = scope.get("headers")
                is_plain, telling = type(headers) is list, requests.TELLING.get
                try:  # a function of its own would take 0.4 µs more
                    for name, value in headers if is_plain else ():
                        start = telling(name)
                        if start is not None and value.startswith(start):
                            is_plain = False
                            break
                except Exception:  # one of them is not a pair of bytes
                    is_plain = False
                if not is_plain:
                    receive = await _consume_push(scope, receive)
            await self.app(scope, receive, send)
        finally:
            current.set_current(before)  # what calls an app in its own task goes on with its own
            if is_marked:
                scope.pop(_SEEN, None)  # the scope is what it was

    async def _stand_by(self) -> DataStreams | None:
        streams = None
        try:
            streams = await start_standby_async()
        except Exception as error:
            report_hook_error(error)
        self._lives = True
        return streams


async def _consume_push(scope: Scope, receive: Receive) -> Receive:
    """Record the messages that a request pushes, if it does; return what hands its body on to the app."""
    read = None
    try:
        headers = push_headers(scope)
        if headers is None or checkpoint.ensure_recorder() is None:
            return receive
        length = requests.size_of(headers)
        is_in_body = requests.is_in_body(headers)
    except Exception as error:
        report_hook_error(error)
        return receive
    if is_in_body:
        read, receive = await body.read(receive, length)
    try:
        pushed = requests.pushed(headers, read)
        size = length if len(pushed) == 1 else None
        for edge, header, broker_ns in pushed:
            checkpoint.consume(edge, header, size, broker_ns)
        if len(pushed) != 1:  # a batch: which of them something is done for, only the app knows
            current.set_current(None)
    except Exception as error:
        report_hook_error(error)
    return receive
