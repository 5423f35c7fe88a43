"""What a request produces follows the message that the request pushed, and nothing else."""

from __future__ import annotations

from typing import Any

from asyncdsm_asgi import DataStreamsMiddleware

import asyncdsm
from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.integrations.asgi.apps import CAME, Handler, request


async def test_request_begins_without_a_pathway_and_restores_its_callers(captured_streams: Captured) -> None:
    handler = Handler()
    app = DataStreamsMiddleware(handler)
    current.set_current(CAME)
    await request(app, {"content-type": "application/json", "user-agent": "curl/8"})
    assert asyncdsm.current_pathway() == CAME
    assert handler.pathways == [None]
    (made,) = captured_streams.checkpoints
    assert (made.tag("direction"), made.parent) == ("out", 0)


async def test_websocket_begins_without_a_pathway(captured_streams: Captured) -> None:
    seen = list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(asyncdsm.current_pathway())

    current.set_current(CAME)
    await DataStreamsMiddleware(app)({"type": "websocket", "headers": [(HEADER.encode(), b"x")]}, None, None)  # type: ignore[arg-type]
    assert seen == [None]
    assert captured_streams.checkpoints == []
