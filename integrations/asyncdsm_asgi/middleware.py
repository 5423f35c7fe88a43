"""The middleware: a clean pathway for each request, or that of the message which the request pushes."""

from __future__ import annotations

from asyncdsm import DataStreams, SettingError, checkpoint
from asyncdsm.hooks import hook_failed
from asyncdsm.log import warn_once
from asyncdsm_asgi import body, lifetime, requests
from asyncdsm_asgi.protocol import App, Receive, Scope, Send

_SEEN = "asyncdsm"
"""In the scope of a request that has come through: apps and their middleware may be nested."""


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
        if _SEEN in scope:
            return await self.app(scope, receive, send)
        scope[_SEEN] = True
        kind = scope["type"]
        if kind == "lifespan":
            self._lives = True
            return await lifetime.run(self.app, scope, receive, send)
        if not self._lives:
            self._stand_by()
        before = checkpoint.standing()
        checkpoint.set_current(None)
        try:
            if self.pushed and kind == "http":
                for name, value in scope["headers"]:
                    start = requests.TELLING.get(name)
                    if start is not None and value.startswith(start):
                        receive = await _arrived(scope, receive)
                        break
            await self.app(scope, receive, send)
        finally:
            checkpoint.set_current(before)  # what calls an app in its own task goes on with its own

    def _stand_by(self) -> None:
        """Measure for a server that told nothing of a lifespan; the interpreter's exit ends it."""
        self._lives = True
        try:
            DataStreams().stand_by()
        except SettingError as error:
            warn_once("setting", "nothing is measured: %s", str(error))
        except Exception as error:
            hook_failed(error)


async def _arrived(scope: Scope, receive: Receive) -> Receive:
    """Record the messages that a request pushes; return what hands its body on to the app."""
    headers, read = dict(scope["headers"]), None
    try:
        if checkpoint.running() is None:
            return receive
        length = requests.size_of(headers)
        is_in_body = requests.is_in_body(headers)
    except Exception as error:
        hook_failed(error)
        return receive
    if is_in_body:  # what `receive` raises is the server's, and the app's to see
        read, receive = await body.read(receive, length)
    try:
        pushed = requests.pushed(headers, read)
        size = length if len(pushed) == 1 else None
        for edge, header, broker_ns in pushed:
            checkpoint.arrived(edge, header, size, broker_ns)
        if len(pushed) != 1:  # a batch: which of them something is done for, only the app knows
            checkpoint.set_current(None)
    except Exception as error:
        hook_failed(error)
    return receive
