"""`asyncdsm demo`, as a user runs it: the map that it shows, and that it leaves no process however it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from uuid import uuid4

import pytest

from tests.brokers.aws import Aws
from tests.brokers.rabbitmq import RabbitMQ

DEMO = [sys.executable, "-m", "asyncdsm", "demo"]


def processes(mark: str, part: str = "") -> set[int]:
    """Return the ids of the processes that were given this mark, and have `part` in their command line."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, environ = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:  # it has ended, or is somebody else's
            continue
        if mark.encode() in environ and part.encode() in command:  # one that has ended has neither
            found.add(int(process.name))
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline
        threading.Event().wait(0.05)


@pytest.fixture(autouse=True)
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Mark all processes that this test starts, and check that none of them is left at its end."""
    mark = f"TEST_OF_THE_DEMO={uuid4()}"
    monkeypatch.setenv(*mark.split("="))
    yield mark
    monkeypatch.undo()
    wait_until(lambda: not processes(mark))


@pytest.mark.parametrize(
    ("options", "types", "groups"),
    [
        ((), {"kafka", "rabbitmq"}, {"billing"}),
        (("--rabbitmq", "off"), {"kafka"}, {"billing", "shipping"}),
    ],
    ids=["Kafka and RabbitMQ", "Kafka alone"],
)
def test_demo_map_shows_billing_as_the_slowest_hop(
    options: tuple[str, ...], types: set[str], groups: set[str], tmp_path: Path
) -> None:
    """In a folder with files that are named as modules that the demo imports."""
    for module in ("aiokafka", "click", "fastapi", "uvicorn"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit(7)\n")
    command = [sys.executable, "-P", *DEMO[1:], "--seconds", "6", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True, cwd=tmp_path)
    shown = json.loads(done.stdout)
    assert [service["name"] for service in shown["services"]] == ["billing", "shipping", "shop"]
    assert sorted(queue["name"] for queue in shown["queues"]) == ["invoices", "orders"]
    median = {(edge["service"], edge["direction"]): edge["edge_latency"]["p50"] for edge in shown["edges"]}
    assert set(median) == {("shop", "out"), ("billing", "in"), ("billing", "out"), ("shipping", "in")}
    assert max(median, key=lambda edge: median[edge] or 0.0) == ("billing", "out")
    assert 0.3 < median["billing", "out"] < 0.6
    whole = {edge["service"]: edge["pathway_latency"]["p50"] for edge in shown["edges"]}
    assert whole["shipping"] > median["billing", "out"]
    counts = {(edge["service"], edge["direction"]): edge["count"] for edge in shown["edges"]}
    assert len(set(counts.values())) == 1, counts  # every order went all the way, and every checkpoint arrived
    chain = {(point["hash"], point["parent"]) for point in shown["pathways"]}
    assert len(chain) == 4
    assert {group["group"] for group in shown["lag"]} == groups
    assert {edge["type"] for edge in shown["edges"]} == types


def test_demo_with_aws_has_one_pathway_through_four_services(moto: Aws, rabbitmq: RabbitMQ) -> None:
    """The pathway leads from Kafka through RabbitMQ and SNS to SQS."""
    command = [*DEMO, "--seconds", "5", "--json", "--rabbitmq", rabbitmq.url, "--aws", moto.endpoint]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    shown = json.loads(done.stdout)
    edges = {(edge["service"], edge["direction"], edge["type"]): edge for edge in shown["edges"]}
    chain = [
        ("shop", "out", "kafka"),
        ("billing", "in", "kafka"),
        ("billing", "out", "rabbitmq"),
        ("shipping", "in", "rabbitmq"),
        ("shipping", "out", "sns"),
        ("mailing", "in", "sqs"),
    ]
    assert sorted(edges) == sorted(chain)
    assert len({edges[key]["count"] for key in chain[:4]}) == 1
    assert edges["mailing", "in", "sqs"]["count"] > 0
    hashes = {point["hash"]: point["parent"] for point in shown["pathways"]}
    (last,) = hashes.keys() - hashes.values()
    way = [last]
    while hashes[way[-1]] != "0":
        way.append(hashes[way[-1]])
    assert len(way) == len(chain)


def test_demo_prints_the_table_at_the_end(rabbitmq: RabbitMQ) -> None:
    """With a RabbitMQ that the user names."""
    command = [*DEMO, "--seconds", "8", "--rabbitmq", rabbitmq.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    assert "3 services, 2 queues" in done.stdout
    assert "Most of the time goes here: billing" in done.stdout


@contextmanager
def hanging_up_server() -> Iterator[str]:
    """Run a server that closes each connection at once; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        while True:
            connection, _ = listener.accept()
            connection.close()
            if stopping.is_set():
                return

    stopping = threading.Event()
    thread = threading.Thread(target=hang_up)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stopping.set()
        socket.create_connection(listener.getsockname()).close()
        thread.join()
        listener.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_demo_ended_by_a_signal_leaves_no_process(number: signal.Signals, mark: str) -> None:
    process = subprocess.Popen(DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(processes(mark, "asyncdsm.cli.demo.")) == 3)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert "Traceback" not in out + err
    if number == signal.SIGINT:
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--bootstrap-servers", "127.0.0.1:1", "--rabbitmq", "off"), "no Kafka listens at 127.0.0.1:1: "),
        (("--bootstrap-servers", "127.0.0.1:x"), "no Kafka listens at 127.0.0.1:x: "),
        (("--rabbitmq", "amqp://me:secret@127.0.0.1:1/"), "no RabbitMQ listens at 127.0.0.1:1: "),
        (("--aws", "http://127.0.0.1:1", "--rabbitmq", "off"), "no AWS listens at 127.0.0.1:1: "),
    ],
)
def test_absent_broker_is_an_error_of_one_line(option: tuple[str, ...], said: str) -> None:
    done = subprocess.run(
        [*DEMO, *option, "--seconds", "2"],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"asyncdsm demo: {said}")
    assert "secret" not in line


def test_service_that_cannot_start_is_named_without_a_traceback() -> None:
    with hanging_up_server() as address:  # it is no Kafka
        command = [*DEMO, "--bootstrap-servers", address, "--rabbitmq", "off", "--seconds", "2"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 1
    assert "asyncdsm demo: shop did not start and ended with exit code 1" in done.stdout
