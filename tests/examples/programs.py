"""Runs the examples as their users do, each in a process of its own, and says what the agent has seen of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep, time_ns
from typing import Any

import httpx2

from asyncdsm import Pathway
from asyncdsm.agent.http.server import RunningAgent
from asyncdsm.core.context import HEADER

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
COUNT = 5
"""How many orders a test sends."""


REPORTING = {"DD_DATA_STREAMS_BUCKET_DURATION_SECONDS": "1", "_DD_TRACE_STATS_WRITER_INTERVAL": "1"}
"""Settings of the examples: the tests wait until the agent has seen everything."""


def make_headers(number: int) -> dict[str, str]:
    """Return the headers of an order, as the service before wrote them. Each order has a pathway of its own."""
    return {HEADER: Pathway(number + 1, time_ns(), time_ns()).encode_base64()}


@contextmanager
def running_example(agent: RunningAgent, *command: str, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python COMMAND` inside the block. Afterwards it gets Ctrl-C, and must end without a traceback."""
    given = {**os.environ, **REPORTING, "DD_TRACE_AGENT_URL": agent.url, "PYTHONWARNINGS": "ignore", **environ}
    with subprocess.Popen([sys.executable, *command], cwd=ROOT, env=given, stderr=subprocess.PIPE) as process:
        try:
            yield process
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=PATIENCE)
            assert b"Traceback" not in err, err.decode()
        finally:
            process.kill()


def wait_until(condition: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    """Wait until a condition holds, as long as a process runs."""
    deadline = monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        assert monotonic() < deadline
        sleep(0.05)


def read_topology(agent: RunningAgent) -> dict[str, Any]:
    """Return what the agent has seen so far."""
    topology: dict[str, Any] = httpx2.get(f"{agent.url}/api/topology").json()
    return topology


def has_counted(agent: RunningAgent, **directions: int) -> bool:
    """Say whether the agent has seen exactly this number of checkpoints of each direction: `in_=5, out=5`."""
    counts = Counter[str]()
    for edge in read_topology(agent)["edges"]:
        counts[edge["direction"]] += edge["count"]
    return counts == {name.strip("_"): count for name, count in directions.items()}


def check_pathways(agent: RunningAgent, *edges: str) -> None:
    """Check that each order passed these edges in this order, on the pathway that it brought, and nothing else passed.

    An edge is written as its direction and its topic: `in orders`.
    """
    topology = read_topology(agent)
    parents = {str(number + 1) for number in range(COUNT)}
    for edge in edges:
        direction, _, topic = edge.partition(" ")
        tags = {f"direction:{direction}", f"topic:{topic}"}
        passed = [each for each in topology["pathways"] if tags <= set(each["tags"])]
        assert {each["parent"] for each in passed} == parents, edge
        assert len(passed) == COUNT, edge
        parents = {each["hash"] for each in passed}
    assert [each["count"] for each in topology["edges"]] == [COUNT] * len(edges)
