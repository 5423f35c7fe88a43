"""ddtrace's own payloads, as it sends them, in our local agent."""

from __future__ import annotations

import httpx2
import pytest
from anyio import to_thread

from asyncdsm.agent.http.server import running_agent
from tests.differential.process import run


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_agent_shows_the_edges_that_ddtrace_sends() -> None:
    """One message produced and consumed is two edges of one queue."""
    async with running_agent() as agent:
        environ = {
            "DD_DATA_STREAMS_ENABLED": "true",
            "DD_SERVICE": "shop",
            "DD_TRACE_AGENT_URL": agent.url,
            "DD_EXPERIMENTAL_PROPAGATE_PROCESS_TAGS_ENABLED": "true",  # as it comes: the payload has them too
            "_DD_TRACE_STATS_WRITER_INTERVAL": "1",
        }
        await to_thread.run_sync(lambda: run("sender.py", **environ))
        async with httpx2.AsyncClient(base_url=agent.url) as client:
            topology = (await client.get("/api/topology")).json()
    assert [service["name"] for service in topology["services"]] == ["shop"]
    queue = {"type": "kafka", "name": "orders", "cluster": None, "unread": False, "unread_since": None}
    assert topology["queues"] == [queue]
    edges = {edge["direction"]: edge for edge in topology["edges"]}
    assert edges.keys() == {"in", "out"}
    assert [(edge["queue"], edge["count"]) for edge in edges.values()] == [("orders", 1), ("orders", 1)]
    assert edges["in"]["tags"] == ["direction:in", "manual_checkpoint:true", "topic:orders", "type:kafka"]
    hashes = {row["tags"][0]: (row["hash"], row["parent"]) for row in topology["pathways"]}
    assert hashes["direction:out"][1] == "0"
    assert hashes["direction:in"][1] == hashes["direction:out"][0]
