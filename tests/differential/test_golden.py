"""ddtrace's own payloads, as it sends them, in our local agent."""

from __future__ import annotations

import httpx2
import pytest
from anyio import to_thread

from asyncdsm.agent.serve import running_agent
from tests.differential.process import run


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_our_agent_shows_the_edges_that_ddtrace_sends() -> None:
    """One message produced and consumed is two edges of one queue."""
    async with running_agent() as agent:
        environ = {
            "DD_DATA_STREAMS_ENABLED": "true",
            "DD_SERVICE": "shop",
            "DD_TRACE_AGENT_URL": agent.url,
            "_DD_TRACE_STATS_WRITER_INTERVAL": "1",
        }
        await to_thread.run_sync(lambda: run("sender.py", **environ))
        async with httpx2.AsyncClient(base_url=agent.url) as client:
            topology = (await client.get("/api/topology")).json()
    print(topology)
