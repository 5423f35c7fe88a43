"""The app's lifespan, with a DataStreams that lives as long. Server and app notice nothing of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asyncdsm import DataStreams
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.integration.lifetime import close_standby
from asyncdsm_asgi.protocol import App, Message, Receive, Scope, Send

StandBy = Callable[[], Awaitable[DataStreams | None]]

_LAST = {"lifespan.startup.failed", "lifespan.shutdown.complete", "lifespan.shutdown.failed"}
"""After one of these the server may end at once: what was recorded is delivered before."""


class _Conversation:
    """What server and app tell each other about the lifespan, unchanged."""

    def __init__(self, stand_by: StandBy, receive: Receive, send: Send) -> None:
        self._stand_by, self._receive, self._send = stand_by, receive, send
        self._streams: DataStreams | None = None
        self.is_ending = False

    async def receive(self) -> Message:
        message: Message = await self._receive()
        kind = _type_of(message)
        if kind == "lifespan.startup" and self._streams is None:
            self._streams = await self._stand_by()
        elif kind == "lifespan.shutdown":
            self.is_ending = True
        return message

    async def send(self, message: Message) -> None:
        if _type_of(message) in _LAST:
            self.is_ending = False
            await self.finish()
        await self._send(message)

    async def finish(self) -> None:
        """Deliver what was recorded, and stop measuring."""
        try:
            if self._streams is not None:
                await close_standby(self._streams)
        except Exception as error:
            report_hook_error(error)


async def run(app: App, stand_by: StandBy, scope: Scope, receive: Receive, send: Send) -> None:
    """Call the app for its lifespan, and measure from its startup to its shutdown.

    `stand_by` is called when the server says "startup": until then nothing is awaited that the app does not await. An
    app that raises or returns before its shutdown does what it does without us. The server may then go on with
    requests, so the measuring goes on too, until the interpreter exits.
    """
    conversation = _Conversation(stand_by, receive, send)
    try:
        await app(scope, conversation.receive, conversation.send)
    except (Exception, GeneratorExit):
        raise
    except BaseException:  # the server cancels the lifespan
        conversation.is_ending = True
        raise
    finally:
        if conversation.is_ending:
            await conversation.finish()


def _type_of(message: Any) -> Any:
    try:
        return message["type"]
    except Exception:  # this is no message of ASGI: the server knows what to do with it
        return None
