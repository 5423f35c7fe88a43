"""The API keeps to its description: schemathesis asks what it can think of, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, assume, settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import positive_data_acceptance

from asyncdsm.agent.http.openapi import DESCRIPTION, PATHS
from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import NOW, Client
from tests.agent.test_api import edge_id, report, shop

LONGEST_ADDRESS = 60_000
"""In bytes. uvicorn refuses longer ones, from 64 KiB on, before the agent sees them."""
# A stream of events has no end, and schemathesis would wait for it.
schema = schemathesis.openapi.from_dict(DESCRIPTION).exclude(path="/api/live")
TAGS = "direction:out", "topic:orders", "type:kafka"


async def fill(url: str) -> None:
    async with Client(base_url=url, timeout=30) as client:
        await shop(client)


@pytest.fixture
def url() -> Iterator[str]:
    """Run an agent that has something to show."""
    store = SQLiteStore(now=lambda: NOW)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running_agent(store=store)) as agent:
        portal.call(fill, agent.url)
        yield agent.url


@schema.parametrize()
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_request_gets_an_answer_of_the_schema(case: Case[Any], url: str) -> None:
    assume(len(case.as_curl_command()) < LONGEST_ADDRESS)
    # What parameters have to do with each other (minutes or from and to, service or queue), OpenAPI cannot say.
    case.call_and_validate(base_url=url, excluded_checks=[positive_data_acceptance])


async def test_every_described_path_is_served(client: Client) -> None:
    answer = await client.get("/api/openapi.json")
    assert answer.json() == DESCRIPTION
    await report(client, "shop", TAGS, 1.0)
    needed = {
        "/api/series": {"edge": await edge_id(client)},
        "/api/lag": {"topic": "t"},
        "/api/latency": {"first": "shop", "last": "orders"},
        "/api/downstream": {"queue": "orders"},
        "/api/versions": {"service": "shop"},
    }
    for path in PATHS:
        query = needed.get(path, {"service": "s"} if path == "/api/pathways" else {})
        async with client.stream("GET", path, params=query) as response:
            assert response.status_code == 200, path
            media = response.headers["Content-Type"].partition(";")[0]
            assert media in PATHS[path]["get"]["responses"]["200"]["content"]
