"""The app's lifespan, with a DataStreams that lives as long. Server and app notice nothing of it."""

from __future__ import annotations

from typing import Any

from asyncdsm import DataStreams
from asyncdsm.hooks import hook_failed
from asyncdsm.lifetime import finish, stand_by_in_loop
from asyncdsm_asgi.protocol import App, Message, Receive, Scope, Send

_LAST = {"lifespan.startup.failed", "lifespan.shutdown.complete", "lifespan.shutdown.failed"}
"""After one of these the server may end at once: what was recorded is delivered before."""


class _Conversation:
    """What server and app tell each other about the lifespan, unchanged."""

    def __init__(self, streams: DataStreams, receive: Receive, send: Send) -> None:
        self._streams, self._receive, self._send = streams, receive, send
        self.is_ending = False

    async def receive(self) -> Message:
        message: Message = await self._receive()
        self.is_ending |= _type_of(message) == "lifespan.shutdown"
        return message

    async def send(self, message: Message) -> None:
        if _type_of(message) in _LAST:
            self.is_ending = False
            await self.finish()
        await self._send(message)

    async def finish(self) -> None:
        """Deliver what was recorded, and stop measuring."""
        try:
            await finish(self._streams)
        except Exception as error:
            hook_failed(error)


async def run(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Call the app for its lifespan, and measure from its startup to its shutdown.

    An app that raises or returns before the shutdown does what it does without us. The server may then go on with
    requests, so the measuring goes on too, until the interpreter exits.
    """
    streams = await stand_by_in_loop()
    if streams is None:
        return await app(scope, receive, send)
    conversation = _Conversation(streams, receive, send)
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
