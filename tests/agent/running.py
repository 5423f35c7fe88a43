"""An agent on an event loop of its own, in a thread: for tests that block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from anyio.from_thread import start_blocking_portal

from asyncdsm.agent.http.server import RunningAgent, running_agent


@contextmanager
def agent(**options: Any) -> Iterator[RunningAgent]:
    """Run an agent inside the block; the options are those of `running_agent`."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running_agent(**options)) as running:
        yield running
