"""The middleware: a request begins without a pathway, or with that of the message which it pushes."""

from __future__ import annotations

from asyncdsm import DataStreams
from asyncdsm.integration import report_hook_error, set_current, snapshot, start_standby_async
from asyncdsm.integration.formats.transactions import HTTP_IN
from asyncdsm_asgi.consume import consume_push, extract_transactions
from asyncdsm_asgi.lifespan import run_lifespan
from asyncdsm_asgi.requests import PUSH_HEADERS
from asyncdsm_asgi.scope import App, Receive, Scope, Send

# In the scope while a request is handled: an app within an app may have the middleware too.
_MARK = "asyncdsm"


class DataStreamsMiddleware:
    """Measures while the app lives. Each request begins without a pathway, so that what it produces never follows a
    message which some background task consumed.

    A request that pushes a message is a consume checkpoint: one with `dd-pathway-ctx-base64` among its headers, one
    from Amazon SNS, EventBridge API destinations or Google Pub/Sub, or a CloudEvent. Set `pushed=False` where anybody
    may send requests: then none is treated as a message. Pure ASGI, on asyncio and trio.
    """

    def __init__(self, app: App, *, pushed: bool = True) -> None:
        self.app: App = app
        self.pushed: bool = pushed
        self._is_started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: PLR0912  (hot)
        """Handle one request, or the app's lifespan. **Hot**: all that a plain request waits for is here."""
        try:
            kind = None if _MARK in scope else scope.get("type")
        except Exception:  # not a dict: the app knows what to do with it
            kind = None
        if kind is None:
            return await self.app(scope, receive, send)
        try:
            scope[_MARK] = is_marked = True
        except Exception:  # it is read-only
            is_marked = False
        before = snapshot()
        try:
            if kind == "lifespan":
                return await run_lifespan(self.app, self._start, scope, receive, send)
            if not self._is_started:  # the server has no lifespan: measuring ends when the interpreter exits
                await self._start()
            set_current(None)
            if HTTP_IN and kind == "http":
                extract_transactions(scope)
            if self.pushed and kind == "http":
                headers = scope.get("headers")
                is_plain, push_headers = type(headers) is list, PUSH_HEADERS
                try:  # a separate function would take 0.4 µs more
                    for name, value in headers if is_plain else ():
                        if name in push_headers and value.startswith(push_headers[name]):
                            is_plain = False
                            break
                except Exception:  # one of them is not a pair of bytes
                    is_plain = False
                if not is_plain:
                    receive = await consume_push(scope, receive)
            await self.app(scope, receive, send)
        finally:
            set_current(before)  # a caller in the same task continues its own pathway
            if is_marked:
                scope.pop(_MARK, None)  # the scope is as before

    async def _start(self) -> DataStreams | None:
        streams = None
        try:
            streams = await start_standby_async()
        except Exception as error:
            report_hook_error(error)
        self._is_started = True
        return streams
