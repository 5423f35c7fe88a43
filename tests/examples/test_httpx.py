"""The example for httpx: a request that it passes on continues at the next service."""

from __future__ import annotations

from pathlib import Path

import httpx2

from asyncdsm.agent.http.server import RunningAgent
from tests.brokers.process import free_port
from tests.examples.programs import COUNT, has_counted, read_topology, running_example, wait_until

BILLING = """
from asyncdsm_asgi import DataStreamsMiddleware
from fastapi import FastAPI

app = FastAPI()
app.add_middleware(DataStreamsMiddleware)

@app.post("/orders/{number}")
async def bill(number: int) -> int:
    return number
"""


def is_up(url: str) -> bool:
    """Say whether a service answers."""
    try:
        return httpx2.get(f"{url}/docs").is_success
    except httpx2.HTTPError:
        return False


def test_gateway_passes_its_pathway_to_the_next_service(agent: RunningAgent, tmp_path: Path) -> None:
    (tmp_path / "billing.py").write_text(BILLING)
    ports = [free_port(), free_port()]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    serve = ["-m", "uvicorn", "--log-level", "warning", "--port"]
    next_one = [*serve, str(ports[1]), "--app-dir", str(tmp_path), "billing:app"]
    first = [*serve, str(ports[0]), "examples.clients.httpx_gateway:app"]
    with (
        running_example(agent, *next_one, DD_SERVICE="billing") as billing,
        running_example(agent, *first, DD_SERVICE="gateway", BILLING=urls[1]) as gateway,
    ):
        wait_until(lambda: is_up(urls[1]), billing)
        wait_until(lambda: is_up(urls[0]), gateway)
        for number in range(COUNT):
            assert httpx2.post(f"{urls[0]}/orders/{number}").status_code == 202
        wait_until(lambda: has_counted(agent, in_=COUNT, out=COUNT), gateway)
    topology = read_topology(agent)
    edges = [(edge["service"], edge["direction"]) for edge in topology["edges"]]
    assert sorted(edges) == [("billing", "in"), ("gateway", "out")]
    (out,) = (each for each in topology["pathways"] if "direction:out" in each["tags"])
    (into,) = (each for each in topology["pathways"] if "direction:in" in each["tags"])
    assert (out["parent"], into["parent"]) == ("0", out["hash"])
