"""Pipelines of relays, each relay a process, and an agent of their own that takes and keeps what they report."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from tempfile import TemporaryFile
from time import monotonic
from typing import IO, Any, NamedTuple

import anyio
import httpx2
from anyio import TASK_STATUS_IGNORED, to_thread
from anyio.abc import Process, TaskStatus
from anyio.streams.text import TextReceiveStream

from asyncdsm.agent.http.server import RunningAgent, running_agent
from tests.intake import Intake, running_intake
from tests.interop.brokers import Brokers
from tests.interop.relay import Relay, make_environ

PATIENCE_SECONDS = 150.0
ENV = "interop"


class RelayError(RuntimeError):
    """A relay did not do its work; the message has what it wrote."""


class Step(NamedTuple):
    """One relay of a pipeline: its service, and where it reads and writes (`kafka:TOPIC`, … or `-`)."""

    relay: Relay
    service: str
    source: str
    target: str


class Sent(NamedTuple):
    """A payload as a tracer sent it: its headers, with names in lower case, and its body."""

    headers: dict[str, str]
    body: bytes


class Outcome(NamedTuple):
    """What became of a pipeline: what its tracers sent, and the answers of the agent that took it."""

    steps: list[Step]
    seconds: float
    sent: list[Sent]
    topology: dict[str, Any]
    health: dict[str, Any]


async def create_steps(
    brokers: Brokers, relays: Sequence[tuple[Relay, str]], between: Sequence[tuple[str, str]]
) -> list[Step]:
    """Return the steps of a pipeline: relays and their services; brokers and names of the queues `between` these."""
    places = ["-", *[await brokers.create_place(*queue) for queue in between], "-"]
    return [Step(*relay, *ends) for relay, ends in zip(relays, pairwise(places), strict=True)]


async def run_pipeline(brokers: Brokers, steps: list[Step], count: int, **settings: str) -> Outcome:
    """Send `count` messages through the steps, and return what was reported. `settings` are variables for all relays.

    Raises RelayError, in a group, if one of the relays fails.
    """
    async with recording_agent() as (agent, intake):
        began = monotonic()
        await run_steps(brokers, steps, count, {**settings, "DD_TRACE_AGENT_URL": agent.url})
        async with httpx2.AsyncClient(base_url=agent.url, timeout=30) as client:
            topology = (await client.get("/api/topology", params={"minutes": 10})).json()
            health = await _forwarded(client)
        sent = [Sent(headers, body) for _, _, headers, body in intake.requests]
        return Outcome(steps, monotonic() - began, sent, topology, health)


async def run_steps(brokers: Brokers, steps: Sequence[Step], count: int, settings: Mapping[str, str]) -> None:
    """Run all relays to their end; the first begins when all others are there. Raises RelayError, in a group.

    What a relay needs is installed before, which takes as long as it takes: minutes, the first time.
    """
    for relay in {step.relay for step in steps}:
        await to_thread.run_sync(relay.install)
    first, *others = (partial(run_relay, step, count, {**brokers.environ, **settings}) for step in steps)
    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as group:
            async with anyio.create_task_group() as starting:
                for other in others:
                    starting.start_soon(group.start, other)
            await group.start(first)


@asynccontextmanager
async def recording_agent() -> AsyncIterator[tuple[RunningAgent, Intake]]:
    """Run an agent that forwards each payload, as it came, to an intake that keeps it; yield both."""
    with running_intake() as intake:
        async with running_agent(forward=intake.url) as agent:
            yield agent, intake


async def run_relay(
    step: Step, count: int, environ: Mapping[str, str], *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
) -> None:
    """Run a relay to its end; it is started when its consumer is in place. Raises RelayError."""
    command = await to_thread.run_sync(step.relay.install)
    with TemporaryFile() as errors:
        process = await anyio.open_process(
            [*command, step.source, step.target, str(count)],
            env=make_environ(step.service, {**environ, "DD_ENV": ENV}),
            stdin=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        async with _killed_at_the_end(process):
            assert process.stdout is not None
            output = ""
            async for part in TextReceiveStream(process.stdout):
                output += part
                if "ready\n" in output and "ready\n" not in output.removesuffix(part):
                    task_status.started()
            code = await process.wait()
        if code or not output.endswith("done\n"):
            raise RelayError(f"{step} ended with {code}:\n{output[-1000:]}\n{_end_of(errors)}")


@asynccontextmanager
async def _killed_at_the_end(process: Process) -> AsyncIterator[None]:
    """Kill a process and its children if the block is left before they have ended."""
    async with process:
        try:
            yield
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)


def _end_of(errors: IO[bytes]) -> str:
    errors.seek(0)
    return errors.read().decode(errors="replace")[-3000:]


async def _forwarded(client: httpx2.AsyncClient) -> dict[str, Any]:
    """Return the agent's health when nothing waits to be forwarded."""
    while True:
        health: dict[str, Any] = (await client.get("/api/health")).json()
        if health["forwarded"]["delivered"] == health["payloads"]:
            return health
        await anyio.sleep(0.02)
