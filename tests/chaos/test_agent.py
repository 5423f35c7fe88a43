"""The agent fails in every way it can, under a program that goes on; then it is well, and gets everything."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Timer
from time import sleep
from typing import Any

import pytest
import trustme

from asyncdsm import DataStreams, Settings, set_produce_checkpoint
from asyncdsm.cli.main import main
from asyncdsm.delivery.exporters.agent import AgentExporter
from tests.brokers.kafka import Kafka
from tests.brokers.process import free_port
from tests.chaos import agents
from tests.chaos.agents import FailingAgent, Fault
from tests.chaos.leftovers import no_tasks_left_over
from tests.chaos.program import Program, balanced, running_program
from tests.intake import Intake, running_intake

TAKING: list[Fault] = [agents.slow, agents.dripping, agents.broken_off, agents.a_hundred_megabytes]
"""They take a payload, and its answer may be lost: it is sent again."""
NOT_TAKING: list[Fault] = [agents.hung_after_accept, agents.half_closing, agents.garbage, agents.endless_head]


def settings(url: str, **more: Any) -> Settings:
    quick: dict[str, Any] = {"bucket_seconds": 0.2, "flush_seconds": 0.1, "request_seconds": 1.0, **more}
    return Settings(service="s", agent_url=url, **quick)


async def live(kafka: Kafka, streams: DataStreams, fail: Callable[[], Any], recover: Callable[[], Any]) -> int:
    """Let the program run while the agent fails and when it is well again; return the checkpoints it made."""
    async with no_tasks_left_over(), streams:
        made = await run(kafka, streams, fail, recover)
    stats = streams.stats
    assert (stats.recorded, stats.delivered, stats.dropped, stats.errors) == (made, made, 0, 0)
    return made


async def run(kafka: Kafka, streams: DataStreams, fail: Callable[[], Any], recover: Callable[[], Any]) -> int:
    """Do so while it is measured."""
    async with asyncio.timeout(60), running_program(kafka) as program:
        stop = asyncio.Event()
        working = asyncio.create_task(program.pass_on_until(stop))
        watching = asyncio.create_task(watch(streams, program))
        await asyncio.to_thread(fail)
        await asyncio.to_thread(recover)
        await asyncio.sleep(0.3)
        stop.set()
        await working
        while streams.stats.pending:
            await streams.flush()
        watching.cancel()
        (seen,) = await asyncio.gather(watching, return_exceptions=True)
        assert isinstance(seen, asyncio.CancelledError), seen
        return program.checkpoints


async def watch(streams: DataStreams, program: Program) -> None:
    """Look all the time: the counters are even, and nothing that was made is missing."""
    while True:
        made, stats = program.checkpoints, streams.stats
        assert balanced(stats)
        assert stats.recorded >= made
        await asyncio.sleep(0.005)


def until(condition: Callable[[], bool]) -> Callable[[], None]:
    """Return what waits for a condition; the test's own deadline bounds it."""

    def wait() -> None:
        for _ in range(3000):
            if condition():
                return

            sleep(0.02)

    return wait


@pytest.mark.parametrize("fault", [*TAKING, *NOT_TAKING], ids=lambda fault: fault.__name__)
async def test_failing_agent_loses_only_counted_checkpoints(kafka: Kafka, fault: Fault) -> None:
    agent = FailingAgent(fault=fault)

    def recover() -> None:
        agent.fault = None

    with running_intake(intake=agent):
        made = await live(kafka, DataStreams(settings(agent.url)), until(lambda: agent.failed >= 3), recover)
    assert agent.counted_once() == made
    if fault in NOT_TAKING or fault is agents.a_hundred_megabytes:
        assert agent.counted() == made


AT_THE_END: list[Fault] = [agents.busy, agents.hung_after_accept, agents.garbage, agents.half_closing]


@pytest.mark.parametrize("fault", AT_THE_END, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("flushed_before", [False, True])
def test_agent_that_recovers_before_the_deadline_gets_what_a_short_program_recorded(
    fault: Fault, flushed_before: bool
) -> None:
    """The one request that is under way when the program ends may never be answered."""
    agent = FailingAgent(fault=fault)
    with running_intake(intake=agent):
        streams = DataStreams(settings(agent.url, request_seconds=60, shutdown_seconds=12))
        with streams:
            set_produce_checkpoint("nats", "orders", dict[str, str]().__setitem__)
            if flushed_before:
                until(lambda: agent.failed > 0)()
            recovery = Timer(2, lambda: setattr(agent, "fault", None))
            recovery.start()
        recovery.join()
    assert (streams.stats.delivered, streams.stats.dropped, agent.counted()) == (1, 0, 1)


async def test_agent_that_restarts_each_second_gets_all_checkpoints(kafka: Kafka) -> None:
    intake, port = Intake(), free_port()

    def flap() -> None:
        for _ in range(3):
            sleep(1)
            with running_intake(port=port, intake=intake):
                sleep(1)

    with ExitStack() as back:
        streams = DataStreams(settings(f"http://127.0.0.1:{port}"))
        made = await live(kafka, streams, flap, lambda: back.enter_context(running_intake(port=port, intake=intake)))
    assert intake.counted_once() == made  # one that was cut off before it had answered was told again


async def test_agent_on_ipv6_with_a_late_name_gets_all_checkpoints(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, known, asked = socket.getaddrinfo, list[str](), list[object]()

    def getaddrinfo(host: Any, *rest: Any, **more: Any) -> Any:
        if host not in ("agent.test", b"agent.test"):
            return real(host, *rest, **more)
        asked.append(host)
        if not known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [found for address in known for found in real(address, *rest, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with running_intake(host="::1") as intake:
        url = intake.url.replace("[::1]", "agent.test")
        made = await live(
            kafka,
            DataStreams(settings(url)),
            until(lambda: len(asked) >= 3),
            lambda: known.extend(["127.0.0.1", "::1"]),
        )
    assert intake.counted() == made


async def test_unix_socket_that_disappears_is_waited_for(kafka: Kafka, socket_path: Path) -> None:
    intake = Intake()

    def disappear() -> None:
        with running_intake(socket_path=str(socket_path), intake=intake):
            until(lambda: len(intake.accepted) >= 3)()
            socket_path.unlink()
            until(lambda: len(intake.accepted) >= 6)()  # the connection that is there lives on
        socket_path.unlink(missing_ok=True)
        sleep(1)

    with ExitStack() as back:
        streams = DataStreams(settings(f"unix://{socket_path}"))
        made = await live(
            kafka,
            streams,
            disappear,
            lambda: back.enter_context(running_intake(socket_path=str(socket_path), intake=intake)),
        )
    assert intake.counted_once() == made


@pytest.fixture(params=["untrusted", "silent"])
def without_tls(request: pytest.FixtureRequest) -> Iterator[Intake]:
    """An agent with a certificate that nobody has vouched for; or one that takes no part in the handshake."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(server)
    silent = request.param == "silent"
    with running_intake(intake=FailingAgent(fault=agents.hung_after_accept), tls=None if silent else server) as agent:
        agent.url = agent.url.replace("http://", "https://")
        yield agent


async def test_failing_tls_handshake_is_waited_for(
    kafka: Kafka, without_tls: FailingAgent, caplog: pytest.LogCaptureFixture
) -> None:
    agent = without_tls
    streams = DataStreams(settings(agent.url, shutdown_seconds=2.0))
    async with no_tasks_left_over(), streams, running_program(kafka) as program:
        stop = asyncio.Event()
        working = asyncio.create_task(program.pass_on_until(stop))
        await asyncio.sleep(2)
        stop.set()
        await working
    stats = streams.stats
    assert (stats.recorded, stats.delivered, dict(stats.dropped_by)) == (
        program.checkpoints,
        0,
        {"shutdown": program.checkpoints},
    )
    assert agent.accepted == []
    messages = [record.getMessage() for record in caplog.records]
    undelivered = [message for message in messages if "could not deliver a payload and will try again" in message]
    assert len(undelivered) == 1
    assert ("certificate" in undelivered[0]) == (agent.failed == 0)


async def test_endless_list_of_endpoints_is_cut_off() -> None:
    agent = FailingAgent(fault=agents.flooding_info)
    with running_intake(intake=agent):
        exporter = await asyncio.to_thread(AgentExporter, settings(agent.url))
        async with asyncio.timeout(30):
            assert not await exporter.lists_endpoint()
        await exporter.aclose()


def test_endless_answer_to_the_doctor_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_intake(intake=FailingAgent(fault=agents.flooding_info)) as agent:
        monkeypatch.setenv("DD_TRACE_AGENT_URL", agent.url)
        assert main(["doctor"]) == 1
    assert "its answer to /info is not that of an agent" in capsys.readouterr().out
