"""`asyncdsm run`: programs that do not mention asyncdsm, as in the documentation of the clients."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers.aws import Aws
from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMQ
from tests.intake import Intake, counted, running_intake

PRODUCE = """
import asyncio, os
from aiokafka import AIOKafkaProducer

async def send(topic="{topic}"):
    producer = AIOKafkaProducer(bootstrap_servers=os.environ["KAFKA"])
    await producer.start()
    try:
        await producer.send_and_wait(topic, b"an order")
    finally:
        await producer.stop()
"""
CONSUME = """
from aiokafka import AIOKafkaConsumer

async def consume(count):
    consumer = AIOKafkaConsumer("{topic}", bootstrap_servers=os.environ["KAFKA"], auto_offset_reset="earliest")
    await consumer.start()
    try:
        async for msg in consumer:
            print("consumed", msg.topic, msg.partition, msg.offset, msg.value)
            count -= 1
            if not count:
                break
    finally:
        await consumer.stop()
"""
HEADERS = """
async def headers():
    consumer = AIOKafkaConsumer("{topic}", bootstrap_servers=os.environ["KAFKA"], auto_offset_reset="earliest")
    await consumer.start()
    for records in (await consumer.getmany(timeout_ms=5000)).values():
        for record in records:
            print(*(name for name, _ in record.headers))
    await consumer.stop()
"""


@pytest.fixture
def intake() -> Iterator[Intake]:
    with running_intake() as intake:
        yield intake


class Runner:
    """Runs scripts under `asyncdsm run`."""

    def __init__(self, intake: Intake, kafka: Kafka, folder: Path) -> None:
        self.intake, self.kafka, self.folder, self.topic = intake, kafka, folder, kafka.topic()

    def script(self, *parts: str) -> str:
        path = self.folder / "app.py"
        path.write_text("".join(parts).replace("{topic}", self.topic))
        return str(path)

    def run(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "asyncdsm", "run", *command],
            cwd=self.folder,
            env={
                **os.environ,
                "KAFKA": self.kafka.bootstrap,
                "DD_SERVICE": "s",
                "DD_TRACE_AGENT_URL": self.intake.url,
                **environ,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def edges(self) -> dict[str, int]:
        """Return the edges' directions, and how many pathways begin there."""
        points = [
            point for payload in self.intake.payloads for bucket in payload.stats or () for point in bucket.stats or ()
        ]
        return {(point.edge_tags or [""])[0]: point.parent_hash for point in points}


@pytest.fixture
def runner(intake: Intake, kafka: Kafka, tmp_path: Path) -> Runner:
    return Runner(intake, kafka, tmp_path)


def test_aiokafka_program_is_followed(runner: Runner) -> None:
    script = runner.script(PRODUCE, CONSUME, "asyncio.run(send())\nasyncio.run(consume(1))\n")
    done = runner.run(sys.executable, script)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("b'an order'\n")
    assert runner.intake.counted() == 2
    (out_hash,) = {
        point.hash
        for payload in runner.intake.payloads
        for bucket in payload.stats or ()
        for point in bucket.stats or ()
        if "direction:out" in (point.edge_tags or ())
    }
    edges = runner.edges()
    assert (edges["direction:out"], edges["direction:in"]) == (0, out_hash)


PIKA = """
import asyncio, os
import aio_pika

async def main():
    connection = await aio_pika.connect_robust(os.environ["AMQP"])
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("{topic}", auto_delete=True)
        for number in range(3):
            await channel.default_exchange.publish(aio_pika.Message(body=b"Hello %d" % number), routing_key="{topic}")
        async with queue.iterator() as queue_iter:
            async for message in queue_iter:
                async with message.process():
                    print(message.body.decode())
                    if message.body == b"Hello 2":
                        break

asyncio.run(main())
"""


def test_aio_pika_program_is_followed(runner: Runner, rabbitmq: RabbitMQ) -> None:
    done = runner.run(sys.executable, runner.script(PIKA), AMQP=rabbitmq.url)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "Hello 0\nHello 1\nHello 2\n")
    assert runner.intake.counted() == 6
    assert runner.edges()["direction:out"] == 0
    assert runner.edges()["direction:in"] != 0


BOTO = """
import asyncio, os
from aiobotocore.session import get_session

async def main():
    session = get_session()
    async with session.create_client("sqs", region_name="us-east-1") as client:
        queue = (await client.create_queue(QueueName="{topic}"))["QueueUrl"]
        for number in range(3):
            await client.send_message(QueueUrl=queue, MessageBody=f"order {number}")
        left = 3
        while left:
            for message in (await client.receive_message(QueueUrl=queue, WaitTimeSeconds=1)).get("Messages", ()):
                await client.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                left -= 1
        await client.delete_queue(QueueUrl=queue)
        print("done")

asyncio.run(main())
"""


def test_aiobotocore_program_is_followed(runner: Runner, ministack: Aws) -> None:
    keys = {"AWS_ENDPOINT_URL": ministack.endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    done = runner.run(sys.executable, runner.script(BOTO), **keys)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "done\n")
    assert runner.intake.counted() == 6
    assert runner.edges()["direction:out"] == 0
    assert runner.edges()["direction:in"] != 0


def test_module_is_followed_and_gets_its_arguments(runner: Runner) -> None:
    runner.script(PRODUCE, "asyncio.run(send())\n", "import sys; print(sys.argv[1:])\n")
    done = runner.run("-m", "app", "-x", "--json")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "['-x', '--json']\n")
    assert runner.intake.counted() == 1


@pytest.mark.parametrize(("value", "counted"), [("true", 1), ("1", 1), ("", 1), ("false", 0), ("0", 0)])
def test_enabled_variable_decides_whether_the_program_is_followed(runner: Runner, value: str, counted: int) -> None:
    script = runner.script(PRODUCE, CONSUME, HEADERS, "asyncio.run(send())\n", "import sys\n")
    with open(script, "a", encoding="utf-8") as file:
        file.write("asyncdsm = 'asyncdsm' in sys.modules\nasyncio.run(headers())\nprint(asyncdsm)\n")
    done = runner.run(sys.executable, script, DD_DATA_STREAMS_ENABLED=value)
    assert (done.returncode, done.stderr) == (0, "")
    header = "dd-pathway-ctx-base64" if counted else ""
    assert done.stdout == f"{header}\n{bool(counted)}\n"
    assert runner.intake.counted() == 2 * counted


def test_forked_and_spawned_children_are_followed(runner: Runner) -> None:
    script = runner.script(
        PRODUCE,
        """
import multiprocessing, subprocess, sys

def child():
    asyncio.run(send())

if __name__ == "__main__":
    child()
    for method in ("fork", "spawn", "forkserver"):
        process = multiprocessing.get_context(method).Process(target=child)
        process.start()
        process.join()
        assert process.exitcode == 0, method
    if (pid := os.fork()) == 0:
        child()
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    subprocess.run([sys.executable, "-c", "import app; app.child()"], check=True)
    child()
""",
    )
    # From 3.12 on Python warns of a fork beside other threads, of which the flush is one.
    done = runner.run(sys.executable, script, PYTHONWARNINGS="ignore:This process:DeprecationWarning")
    assert (done.returncode, done.stderr) == (0, "")
    assert runner.intake.counted() == 7


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("pool", ["Pool", "ProcessPoolExecutor"])
def test_workers_of_a_pool_that_end_by_themselves_deliver_everything(runner: Runner, pool: str, method: str) -> None:
    script = runner.script(
        """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor

import asyncdsm

def work(number):
    asyncdsm.set_produce_checkpoint("kafka", "orders", lambda *_: None)
    return number

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    if sys.argv[1] == "Pool":
        with context.Pool(2) as pool:
            assert pool.map(work, range(50)) == list(range(50))
            pool.close()
            pool.join()
    else:
        with ProcessPoolExecutor(2, context) as executor:
            assert list(executor.map(work, range(50))) == list(range(50))
""",
    )
    done = runner.run(sys.executable, script, pool, method)
    assert (done.returncode, done.stderr) == (0, "")
    assert runner.intake.counted() == 50


def test_own_data_streams_of_the_program_counts_while_it_runs(runner: Runner) -> None:
    script = runner.script(
        PRODUCE,
        """
import asyncdsm

async def main():
    await send()
    async with asyncdsm.DataStreams(asyncdsm.Settings(service="own", agent_url=os.environ["DD_TRACE_AGENT_URL"])):
        await send()
    await send()

asyncio.run(main())
""",
    )
    done = runner.run(sys.executable, script)
    assert (done.returncode, done.stderr) == (0, "")
    payloads = runner.intake.payloads  # on a busy machine, there may be several of a service
    services = {payload.service for payload in payloads}
    by_service = {service: counted([each for each in payloads if each.service == service]) for service in services}
    assert by_service == {"own": 1, "s": 2}


def test_own_sitecustomize_of_the_user_runs_too(runner: Runner) -> None:
    (runner.folder / "sitecustomize.py").write_text("import os\nprint('mine', os.environ['DD_SERVICE'])\nown = 1\n")
    script = runner.script(PRODUCE, "import sitecustomize\nprint(sitecustomize.own)\nasyncio.run(send())\n")
    done = runner.run(sys.executable, script, PYTHONPATH=str(runner.folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "mine s\nmine s\n1\n"  # the first is the command's own Python
    assert runner.intake.counted() == 1


def test_failing_sitecustomize_fails_as_without_asyncdsm(runner: Runner) -> None:
    (runner.folder / "sitecustomize.py").write_text("import os\nif 'CHILD' in os.environ: import nothing_like_it\n")
    command = [sys.executable, "-c", "print('goes on')"]
    environ = {**os.environ, "PYTHONPATH": str(runner.folder), "CHILD": "1"}
    bare = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    done = runner.run(*command, PYTHONPATH=str(runner.folder), CHILD="1")
    assert (done.returncode, done.stdout) == (bare.returncode, bare.stdout)
    assert bare.stderr.splitlines()[-1] == done.stderr.splitlines()[-1]


def test_python_without_asyncdsm_runs_as_before(runner: Runner) -> None:
    code = "import sys; print('asyncdsm' in sys.modules)"
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {code!r}], check=True)"
    done = runner.run(sys.executable, "-c", inner)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")


def test_exit_code_and_signal_of_the_program_are_returned(runner: Runner) -> None:
    assert runner.run(sys.executable, "-c", "import sys; sys.exit(7)").returncode == 7
    assert runner.run("sh", "-c", "kill -TERM $$").returncode == -15
    assert runner.run("--", "sh", "-c", "exit 3").returncode == 3


@pytest.mark.parametrize("program", ["import", "uvicorn"])
def test_wrong_setting_is_logged_once_and_the_program_runs(runner: Runner, program: str) -> None:
    code = {
        "import": "import aiokafka, starlette; print('ran')",
        "uvicorn": "from fastapi import FastAPI\nfrom fastapi.testclient import TestClient\n"
        "with TestClient(FastAPI()) as client: print('ran', client.get('/').status_code)",
    }[program]
    done = runner.run(sys.executable, "-c", code, DD_AGENT_HOST="http://agent:8126", DD_TRACE_AGENT_URL="")
    assert (done.returncode, done.stdout.split()[0]) == (0, "ran")
    assert done.stderr.count("DD_AGENT_HOST must be a host name or an IP address") == 1
    assert done.stderr.count("got 'http://agent:8126'") == 1
    assert "Traceback" not in done.stderr


def test_wrong_setting_in_a_child_is_logged_once_and_the_child_runs(runner: Runner) -> None:
    code = "import os, subprocess, sys; os.environ['DD_TRACE_AGENT_PORT'] = 'x'; del os.environ['DD_TRACE_AGENT_URL']\n"
    code += "subprocess.run([sys.executable, '-c', 'print(1)'], check=True)"
    done = runner.run(sys.executable, "-c", code)
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert done.stderr.count("DD_TRACE_AGENT_PORT must be a port from 1 to 65535, got 'x'") == 1


@pytest.mark.parametrize("outer", ["asyncdsm run ddtrace-run", "ddtrace-run asyncdsm run", "an import in the program"])
def test_message_counts_once_with_ddtrace_in_the_same_process(runner: Runner, outer: str) -> None:
    first = "import ddtrace.auto\n" if outer.startswith("an import") else ""
    script = runner.script(
        first,
        PRODUCE,
        CONSUME,
        HEADERS,
        "asyncio.run(send())\nasyncio.run(send())\nasyncio.run(consume(2))\nasyncio.run(headers())\n",
    )
    ddtrace_run = str(Path(sys.executable).with_name("ddtrace-run"))
    ours = [sys.executable, "-m", "asyncdsm", "run"]
    command = {
        "asyncdsm run ddtrace-run": [*ours, ddtrace_run, sys.executable, script],
        "ddtrace-run asyncdsm run": [ddtrace_run, *ours, sys.executable, script],
        "an import in the program": [*ours, sys.executable, script],
    }[outer]
    done = subprocess.run(
        command,
        cwd=runner.folder,
        env={
            **os.environ,
            "KAFKA": runner.kafka.bootstrap,
            "DD_SERVICE": "s",
            "DD_TRACE_AGENT_URL": runner.intake.url,
            "DD_DATA_STREAMS_ENABLED": "true",
            "DD_KAFKA_PROPAGATION_ENABLED": "true",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_UNLOAD_MODULES_FROM_SITECUSTOMIZE": "false",  # what ddtrace does where gevent is installed
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sent = [line.split() for line in done.stdout.splitlines() if not line.startswith("consumed")]
    assert [names.count("dd-pathway-ctx-base64") for names in sent] == [1, 1]
    assert all("x-datadog-trace-id" in names for names in sent), "its tracing goes on"
    assert done.stderr.count("asyncdsm has turned off ddtrace's Data Streams") == 1
    runner.intake.accepted = [body for _, path, _, body in runner.intake.requests if path.endswith("/pipeline_stats")]
    assert runner.intake.counted() == 2 + 2 + 2  # sent, consumed, and consumed to look at the headers
