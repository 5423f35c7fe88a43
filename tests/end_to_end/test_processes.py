"""Real processes: how they end, and what they fork. Nothing recorded may be missing at the intake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.intake import Intake, running_intake

PREAMBLE = """
import asyncio, json, multiprocessing, os, sys, time, threading
from tests import by_hand
import asyncdsm
from asyncdsm.core import checkpoint
from asyncdsm.core.edge import Edge
edge = Edge("direction:out", "topic:t", "type:kafka")
def record(times):
    for _ in range(times):
        by_hand.produce(edge)
def ready():
    print("ready", flush=True)
"""


@pytest.fixture
def intake() -> Iterator[Intake]:
    with running_intake() as intake:
        yield intake


def start(intake: Intake, program: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "DD_TRACE_AGENT_URL": intake.url,
        "DD_SERVICE": "s",
        "PYTHONWARNINGS": "error",
    }
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + program],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(intake: Intake, program: str) -> tuple[int, str, str]:
    process = start(intake, program)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


ENDINGS = {
    "async with": """
async def main():
    async with asyncdsm.DataStreams():
        record(7)
asyncio.run(main())
""",
    "with": """
with asyncdsm.DataStreams():
    record(7)
""",
    "start and no stop": """
async def main():
    await asyncdsm.DataStreams().start()
    record(3)
asyncio.run(main())
record(4)
""",
    "a loop that is left standing": """
import warnings; warnings.simplefilter("ignore")
loop = asyncio.new_event_loop()
loop.run_until_complete(asyncdsm.DataStreams().start())
record(7)
""",
    "sys.exit": """
async def main():
    async with asyncdsm.DataStreams():
        record(7)
        sys.exit(0)
asyncio.run(main())
""",
    "entered and never left": """
asyncdsm.DataStreams().__enter__()
record(7)
""",
    "uvloop": """
import uvloop
async def main():
    async with asyncdsm.DataStreams():
        record(7)
uvloop.run(main())
""",
    "trio": """
import trio
async def main():
    await asyncdsm.DataStreams().start()
    record(7)
trio.run(main)
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_program_that_ends_in_any_way_delivers_everything(intake: Intake, ending: str) -> None:
    code, _, err = run(intake, ENDINGS[ending])
    assert (code, err) == (0, "")
    assert intake.counted() == 7


@pytest.mark.parametrize(
    "program",
    [
        """
async def main():
    async with asyncdsm.DataStreams():
        record(7); ready()
        await asyncio.sleep(60)
asyncio.run(main())
""",
        """
with asyncdsm.DataStreams():
    record(7); ready()
    while True:
        time.sleep(0.05)  # a signal that comes right before a long one is not looked at until it is over
""",
        """
import trio
async def main():
    async with asyncdsm.DataStreams():
        record(7); ready()
        await trio.sleep(60)
trio.run(main)
""",
    ],
    ids=["asyncio", "sync", "trio"],
)
def test_ctrl_c_delivers_everything(intake: Intake, program: str) -> None:
    process = start(intake, program)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGINT
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert intake.counted() == 7


def test_signal_handlers_stay_as_they_were(intake: Intake) -> None:
    code, out, err = run(
        intake,
        """
import signal
before = [signal.getsignal(number) for number in signal.valid_signals()]
with asyncdsm.DataStreams():
    record(1)
    print([signal.getsignal(number) for number in signal.valid_signals()] == before)
""",
    )
    assert (code, out, err) == (0, "True\n", "")


def test_forked_child_starts_empty_and_by_itself(intake: Intake) -> None:
    code, out, err = run(
        intake,
        """
with asyncdsm.DataStreams() as streams:
    record(100)
    child = os.fork()
    if child == 0:
        before = streams.stats.recorded
        record(10)
        print(json.dumps([before, streams.stats.recorded]), flush=True)
    else:
        assert os.waitpid(child, 0)[1] == 0
        record(1)
""",
    )
    assert (code, err) == (0, "")
    assert json.loads(out) == [0, 10]
    assert intake.counted() == 111


def test_fork_inside_a_running_loop_counts_in_the_child(intake: Intake) -> None:
    code, _, err = run(
        intake,
        """
async def main():
    async with asyncdsm.DataStreams() as streams:
        record(100)
        child = os.fork()
        if child == 0:  # an event loop does not survive a fork: the child goes its own way
            record(10)
            streams.close()
            os._exit(0)
        else:
            assert os.waitpid(child, 0)[1] == 0
asyncio.run(main())
""",
    )
    assert (code, err) == (0, "")
    assert intake.counted() == 110


def test_fork_waits_for_an_import_that_needs_the_lock_of_logging(intake: Intake) -> None:
    """logging takes its lock before every fork: imported after asyncdsm it would do so before ours has waited."""
    program = """
import os, sys, threading, warnings
import asyncdsm
from asyncdsm._internal import forks
assert "logging" not in sys.modules
streams = asyncdsm.DataStreams().__enter__()
started, forking = threading.Event(), threading.Event()
def load():
    with forks.import_lock:
        started.set()
        forking.wait(10)
        import logging
        logging.getLogger("a module's")
loading = threading.Thread(target=load)
loading.start()
started.wait(10)
threading.Timer(0.2, forking.set).start()
warnings.simplefilter("ignore")
child = os.fork()
if child == 0:
    os._exit(0 if forks._held else 1)
assert os.waitpid(child, 0)[1] == 0, "it waited in vain"
loading.join()
streams.close()
"""
    environ = {**os.environ, "DD_TRACE_AGENT_URL": intake.url}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_deliver_everything(intake: Intake, method: str) -> None:
    record_in_child = "record(5)" if method == "fork" else "asyncdsm.DataStreams().__enter__(); record(5)"
    folder = os.path.dirname(__file__)
    module = os.path.join(folder, f"_child_{method}.py")
    with open(module, "w", encoding="utf-8") as file:
        file.write(
            f"{PREAMBLE}\ndef work():\n    {record_in_child}\n"
            "if __name__ == '__main__':\n"
            "    with asyncdsm.DataStreams():\n"
            "        record(2)\n"
            f"        context = multiprocessing.get_context({method!r})\n"
            "        children = [context.Process(target=work) for _ in range(3)]\n"
            "        [child.start() for child in children]\n"
            "        [child.join() for child in children]\n"
            "        assert [child.exitcode for child in children] == [0, 0, 0]\n"
        )
    try:
        process = subprocess.run(
            [sys.executable, module],
            env={**os.environ, "DD_TRACE_AGENT_URL": intake.url, "DD_SERVICE": "s"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.unlink(module)
    assert (process.returncode, process.stderr) == (0, "")
    assert intake.counted() == 17
