"""The app's lifespan, with a DataStreams that lives as long; for an app that has none, a lifespan in its place."""

from __future__ import annotations

from asyncdsm import DataStreams, SettingError
from asyncdsm.lifetime import finish
from asyncdsm.log import inform
from asyncdsm_asgi.protocol import App, Message, Receive, Scope, Send

_LAST = {"lifespan.startup.failed", "lifespan.shutdown.complete", "lifespan.shutdown.failed"}
"""Behind one of these the server may end at once: what was recorded is delivered before."""


class _Conversation:
    """What server and app tell each other of the lifespan."""

    def __init__(self, streams: DataStreams, receive: Receive, send: Send) -> None:
        self._streams, self._receive, self._send = streams, receive, send
        self.asked = self.answered = False

    async def receive(self) -> Message:
        message: Message = await self._receive()
        self.asked = True
        return message

    async def send(self, message: Message) -> None:
        self.answered = True
        if message["type"] in _LAST:
            await finish(self._streams)
        await self._send(message)

    async def stand_in(self) -> None:
        """Answer for an app that does not."""
        if not self.asked:
            await self.receive()
        await self.send({"type": "lifespan.startup.complete"})
        await self.receive()
        await self.send({"type": "lifespan.shutdown.complete"})


async def run(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Measure from the app's startup to its shutdown. A wrong setting fails the startup, in clear words."""
    try:
        streams = DataStreams()
    except SettingError as error:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": f"asyncdsm: {error}"})
        return
    streams.stand_by()
    conversation = _Conversation(streams, receive, send)
    try:
        try:
            await app(scope, conversation.receive, conversation.send)
        except Exception as error:
            if conversation.asked or conversation.answered:
                raise
            inform("the app takes no part in the lifespan protocol: %r", error)
        if not conversation.answered:
            await conversation.stand_in()
    finally:
        await streams.aclose()
