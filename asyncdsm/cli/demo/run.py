"""Starts the brokers, the agent and the services of the demo, sends orders, shows the map, and stops everything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from importlib.util import find_spec
from types import FrameType
from typing import NamedTuple

import anyio
import httpx2
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream
from msgspec import to_builtins
from rich.console import Console
from rich.live import Live

from asyncdsm.agent.http.server import RunningAgent, running_agent
from asyncdsm.agent.queries.topology import topology
from asyncdsm.cli.demo.broker import NoBrokerError, check_listening, run_kafka
from asyncdsm.cli.demo.rabbitmq import NoRabbitMQError, find_rabbitmq, run_rabbitmq
from asyncdsm.cli.demo.service import INVOICES, ORDERS
from asyncdsm.errors import AsyncDSMError
from asyncdsm.map.graph import build_link
from asyncdsm.map.strings import format_hop, plain_text
from asyncdsm.map.terminal import MapTable, duration_cell
from asyncdsm.map.topology import Topology

SERVICES = ("shop", "billing", "shipping")
ORDERS_PER_SECOND = 25.0
START_SECONDS = 60.0
STOP_SECONDS = 10.0
LAST_BUCKET_SECONDS = 2.0
MINUTES = 10


class Brokers(NamedTuple):
    """The brokers that the user named."""

    kafka: str | None
    """Bootstrap servers; None to start a built-in Kafka."""
    rabbitmq: str | None
    """A URL, or "off" to use Kafka instead; None to start the installed server, if there is one."""
    aws: str | None
    """The endpoint of an AWS; None for no fourth service."""


class ServiceEndedError(AsyncDSMError, RuntimeError):
    """A service of the demo did not start, or ended."""


def run_demo(brokers: Brokers, seconds: float | None, *, as_json: bool) -> int:
    """Run until Ctrl-C, or for this many seconds; then print the map, as a table or as JSON. Returns the exit code."""
    console = Console(stderr=as_json)
    maps: list[Topology] = []
    code = 0
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if brokers.aws and find_spec("aiobotocore") is None:
            raise ServiceEndedError("--aws needs aiobotocore: pip install 'asyncdsm[aiobotocore]'")
        _check_brokers(brokers)
        with _provide_kafka(brokers.kafka) as kafka, _provide_rabbitmq(brokers.rabbitmq, console) as rabbitmq:
            where = {"ASYNCDSM_DEMO_KAFKA": kafka, "ASYNCDSM_DEMO_RABBITMQ": rabbitmq, "ASYNCDSM_DEMO_AWS": brokers.aws}
            anyio.run(_run_services, {name: url for name, url in where.items() if url}, seconds, console, maps)
    except KeyboardInterrupt:
        pass
    except (ServiceEndedError, NoRabbitMQError, NoBrokerError) as error:
        console.print(f"asyncdsm demo: {error}", markup=False, emoji=False, soft_wrap=True, style="red")
        code = 1
    if as_json:
        print(json.dumps(to_builtins(maps[-1]) if maps else {}, indent=2))
    elif maps and maps[-1].services:
        console.print(MapTable(maps[-1]))
        _print_slowest_hop(console, maps[-1])
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Stop everything in order at SIGTERM, as after Ctrl-C.

    While an event loop runs, its handler of Ctrl-C cancels what runs: an exception may be lost in code that ignores it.
    """
    handler = signal.getsignal(signal.SIGINT)
    (handler if callable(handler) else signal.default_int_handler)(number, frame)


def _check_brokers(brokers: Brokers) -> None:
    if brokers.kafka:
        check_listening("Kafka", brokers.kafka, 9092)
    if brokers.rabbitmq and brokers.rabbitmq != "off":
        check_listening("RabbitMQ", brokers.rabbitmq, 5671 if brokers.rabbitmq.startswith("amqps:") else 5672)
    if brokers.aws:
        check_listening("AWS", brokers.aws, 443 if brokers.aws.lower().startswith("https:") else 80)


async def _run_services(
    where: Mapping[str, str], seconds: float | None, console: Console, maps: list[Topology]
) -> None:
    services = (*SERVICES, "mailing") if "ASYNCDSM_DEMO_AWS" in where else SERVICES
    async with running_agent() as agent:
        try:
            async with AsyncExitStack() as running:
                console.print(f"starting {len(services)} services …")
                started = [await running.enter_async_context(_run_service(name, where, agent.url)) for name in services]
                invitation = f"the map is at {agent.url}/ · find the slow step · Ctrl-C stops the demo"
                console.print(invitation, markup=False, soft_wrap=True)
                with anyio.move_on_after(seconds):
                    await _send_orders(started[0], agent, console)
                await anyio.sleep(LAST_BUCKET_SECONDS)
        finally:
            maps.append(topology(agent.store, MINUTES))


async def _send_orders(shop_url: str, agent: RunningAgent, console: Console) -> None:
    number = 0
    with _open_live_table(console) as live:
        async with httpx2.AsyncClient(base_url=shop_url, timeout=10, trust_env=False) as client:
            while True:
                number += 1
                try:
                    (await client.post(f"/orders/{number}")).raise_for_status()
                except httpx2.HTTPError as error:
                    raise ServiceEndedError(f"the shop did not accept an order: {error!r}") from error
                if live is not None and number % ORDERS_PER_SECOND == 0:
                    live.update(MapTable(topology(agent.store, MINUTES)), refresh=True)
                await anyio.sleep(1 / ORDERS_PER_SECOND)


@asynccontextmanager
async def _run_service(name: str, where: Mapping[str, str], agent_url: str) -> AsyncIterator[str]:
    """Run one service in a process of its own; yields the line that it printed. Closing its standard input stops it."""
    environment = {
        **os.environ,
        **where,
        "DD_SERVICE": name,
        "DD_TRACE_AGENT_URL": agent_url,
        "DD_DATA_STREAMS_ENABLED": "true",
        "DD_DATA_STREAMS_BUCKET_DURATION_SECONDS": "1",
        "_DD_TRACE_STATS_WRITER_INTERVAL": "1",
    }
    process = await anyio.open_process(
        [sys.executable, "-P", "-m", f"asyncdsm.cli.demo.{name}"],  # nothing is imported from the user's folder
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None,
        env=environment,
        start_new_session=True,  # Ctrl-C must reach only the demo, which then stops its services
    )
    try:
        yield await _read_announcement(name, process)
    finally:
        with anyio.CancelScope(shield=True):
            await _stop_service(process)


async def _read_announcement(name: str, process: Process) -> str:
    if process.stdout is None:
        raise ServiceEndedError(f"{name} has no standard output")
    text = ""
    with anyio.move_on_after(START_SECONDS):
        async for part in TextReceiveStream(process.stdout):
            text += part
            if "\n" in text:
                return text.splitlines()[0]
        await process.wait()
    how = (
        f"within {START_SECONDS:g} s"
        if process.returncode is None
        else f"and ended with exit code {process.returncode}"
    )
    raise ServiceEndedError(f"{name} did not start {how}")


async def _stop_service(process: Process) -> None:
    if process.stdin is not None:
        await process.stdin.aclose()
    with anyio.move_on_after(STOP_SECONDS) as patience:
        await process.wait()
    if patience.cancelled_caught:
        process.kill()
        await process.wait()


@contextmanager
def _provide_kafka(bootstrap: str | None) -> Iterator[str]:
    if bootstrap:
        yield bootstrap
    else:
        with run_kafka((ORDERS, INVOICES)) as address:
            yield address


@contextmanager
def _provide_rabbitmq(url: str | None, console: Console) -> Iterator[str | None]:
    server = find_rabbitmq() if url is None else None
    if server is not None:
        console.print("starting the installed RabbitMQ …")
        with run_rabbitmq(server) as own:
            yield own
    else:
        yield None if url == "off" else url


@contextmanager
def _open_live_table(console: Console) -> Iterator[Live | None]:
    if not console.is_terminal:
        yield None
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield live


def _print_slowest_hop(console: Console, topology: Topology) -> None:
    measured = [edge for edge in topology.edges if edge.edge_latency.p50 is not None]
    if measured:
        slowest = max(measured, key=lambda edge: edge.edge_latency.p50 or 0.0)
        source, target, _ = build_link(slowest)
        place = "service" if slowest.direction == "out" else "queue"
        console.print(
            f"Most of the time goes here: {format_hop(plain_text(source.label), plain_text(target.label))}, "
            f"time in {place}, {duration_cell(slowest.edge_latency.p50)} in the median",
            markup=False,
            soft_wrap=True,
        )
