"""The app's lifespan, during which asyncdsm measures. Server and app exchange the same messages as without it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asyncdsm import DataStreams
from asyncdsm.integration import close_standby, report_hook_error
from asyncdsm_asgi.scope import App, Message, Receive, Scope, Send

Start = Callable[[], Awaitable[DataStreams | None]]

# After one of these messages the server may end at once, so what was recorded is delivered before it is sent.
_LAST_MESSAGES = {"lifespan.startup.failed", "lifespan.shutdown.complete", "lifespan.shutdown.failed"}


class _Channel:
    """Passes the messages between server and app on unchanged, and starts and stops measuring in between."""

    def __init__(self, start: Start, receive: Receive, send: Send) -> None:
        self._start, self._receive, self._send = start, receive, send
        self._streams: DataStreams | None = None
        self.is_ending = False

    async def receive(self) -> Message:
        message: Message = await self._receive()
        kind = _message_type(message)
        if kind == "lifespan.startup" and self._streams is None:
            self._streams = await self._start()
        elif kind == "lifespan.shutdown":
            self.is_ending = True
        return message

    async def send(self, message: Message) -> None:
        if _message_type(message) in _LAST_MESSAGES:
            self.is_ending = False
            await self.stop()
        await self._send(message)

    async def stop(self) -> None:
        """Deliver what was recorded, and stop measuring."""
        try:
            await close_standby(self._streams)
        except Exception as error:
            report_hook_error(error)


async def run_lifespan(app: App, start: Start, scope: Scope, receive: Receive, send: Send) -> None:
    """Call the app for its lifespan, and measure from its startup to its shutdown.

    `start` is called when the server says "startup": until then nothing is awaited that the app does not await. If the
    app raises or returns before its shutdown, the server may go on with requests, so measuring goes on too, until the
    interpreter exits.
    """
    channel = _Channel(start, receive, send)
    try:
        await app(scope, channel.receive, channel.send)
    except (Exception, GeneratorExit):
        raise
    except BaseException:  # the server cancels the lifespan
        channel.is_ending = True
        raise
    finally:
        if channel.is_ending:
            await channel.stop()


def _message_type(message: Any) -> Any:
    try:
        return message["type"]
    except Exception:  # not a message of ASGI: the server knows what to do with it
        return None
