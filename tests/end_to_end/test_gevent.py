"""With gevent, threads are greenlets of one thread: the flush is one of them and does not disturb the others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.intake import running_intake

PATCH = "from gevent import monkey; monkey.patch_all()\n"
IMPORT = "import asyncdsm\n"
PROGRAM = """
import asyncio, gevent

async def work():
    for _ in range(20):
        asyncdsm.set_produce_checkpoint("nats", "orders", lambda key, text: None)
        await asyncio.sleep(0.005)
        assert asyncio.get_running_loop() is loops[-1]
    return "worked"

loops = []

def loop():
    loops.append(asyncio.new_event_loop())
    return loops[-1]

def wait():
    for _ in range(20):
        asyncdsm.set_produce_checkpoint("nats", "orders", lambda key, text: None)
        gevent.sleep(0.005)

def run():
    gevent.sleep(0)  # the flush begins, and imports what it needs
    with asyncio.Runner(loop_factory=loop) as runner:
        print(runner.run(work()))

with asyncdsm.DataStreams() as streams:
    run()
    gevent.joinall([gevent.spawn(wait) for _ in range(10)], raise_error=True)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        print("no loop runs")
    run()
print(streams.stats.recorded, streams.stats.delivered)
"""


@pytest.mark.parametrize("order", [PATCH + IMPORT, IMPORT + PATCH])
def test_greenlets_keep_their_event_loop(order: str) -> None:
    with running_intake() as intake:
        done = subprocess.run(
            [sys.executable, "-c", order + PROGRAM],
            env={**os.environ, "DD_TRACE_AGENT_URL": intake.url, "_DD_TRACE_STATS_WRITER_INTERVAL": "0.05"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "worked\nno loop runs\nworked\n240 240\n"
    assert intake.counted() == 240


SYNCHRONOUS = """
with asyncdsm.DataStreams() as streams:
    for _ in range(20):
        asyncdsm.set_produce_checkpoint("nats", "orders", lambda key, text: None)
        time.sleep(0.01)
"""
STANDING_BY = """
asyncdsm.DataStreams().stand_by()
for _ in range(20):
    asyncdsm.set_produce_checkpoint("nats", "orders", lambda key, text: None)
    time.sleep(0.01)
"""
ASYNCHRONOUS = """
async def main():
    async with asyncdsm.DataStreams():
        for _ in range(20):
            asyncdsm.set_produce_checkpoint("nats", "orders", lambda key, text: None)
            await asyncio.sleep(0.01)

asyncio.run(main())
"""
CLIENT = """
import kombu
with kombu.Connection("memory://") as connection, connection.SimpleQueue("orders") as queue:
    for number in range(10):
        queue.put(number)
    for _ in range(10):
        queue.get(timeout=1).ack()
"""
OF_GEVENT_ITSELF = re.compile(
    r"^Exception ignored in: <bound method _ForkHooks\.after_fork_in_child.*\nTraceback .*\n(?:[ \t].*\n)+\S.*$",
    re.MULTILINE,
)
"""What gevent prints on Python 3.13 where ddtrace forks on a busy machine: an error of its own hook in the child."""
DDTRACE_RUN = str(Path(sys.executable).with_name("ddtrace-run"))
RUN = [sys.executable, "-m", "asyncdsm", "run"]


@pytest.mark.parametrize("patch", [PATCH, ""])
@pytest.mark.parametrize(
    ("front", "program"),
    [
        ([DDTRACE_RUN], "import asyncdsm, time\n" + SYNCHRONOUS),
        ([DDTRACE_RUN], "import asyncdsm, time\n" + STANDING_BY),
        ([DDTRACE_RUN], "import asyncdsm, asyncio\n" + ASYNCHRONOUS),
        ([], "import ddtrace.auto, asyncdsm, time\n" + STANDING_BY),
        ([*RUN, DDTRACE_RUN], CLIENT),
        ([DDTRACE_RUN, *RUN], CLIENT),
        (RUN, "import ddtrace.auto\n" + CLIENT),
    ],
    ids=["with", "stand_by", "async with", "ddtrace.auto", "run ddtrace-run", "ddtrace-run run", "run ddtrace.auto"],
)
def test_ddtrace_with_gevent_installed_loses_nothing(front: list[str], program: str, patch: str) -> None:
    """If gevent is installed, ddtrace imports asyncio and threading a second time."""
    with running_intake() as intake:
        done = subprocess.run(
            [*front, sys.executable, "-c", patch + program if "ddtrace.auto" not in program else program],
            env={
                **os.environ,
                "DD_TRACE_AGENT_URL": intake.url,
                "DD_REMOTE_CONFIGURATION_ENABLED": "false",
                "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in OF_GEVENT_ITSELF.sub("", done.stderr)
    intake.accepted = [body for _, path, _, body in intake.requests if path.endswith("/pipeline_stats")]
    assert intake.counted() == 20


def test_missing_exit_hook_of_threading_loses_nothing() -> None:
    """eventlet replaces `threading` by one without exit hooks."""
    code = "import threading, time\nthreading._register_atexit = lambda function: None\nimport asyncdsm\n" + STANDING_BY
    with running_intake() as intake:
        environ = {**os.environ, "DD_TRACE_AGENT_URL": intake.url}
        done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert intake.counted() == 20
