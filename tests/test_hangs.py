"""A test that hangs fails by itself: those after it run, and nothing is left of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
PHASES = {"setup": "setup", "async setup": "setup", "teardown": "teardown", "async teardown": "teardown"}
"""By name in HANGS: the phase of its test that hangs, if it is not the call."""
IMPATIENT = f"""
from tests import conftest, hangs
from tests.conftest import *

class ImpatientWatch(hangs.Watch):
    def __init__(self, item, phase):
        super().__init__(item, phase)
        name = item.path.stem.removeprefix("test_").replace("_", " ")
        self.limit = 0.6 if item.originalname == "test_hangs" and phase == {PHASES}.get(name, "call") else 60.0

hangs.Watch = ImpatientWatch
hangs.AGAIN_SECONDS, hangs.EXIT_SECONDS = 0.4, 1.0
conftest.PATIENCE_SECONDS = 0.1
"""
HANGS = {
    "sleep": """
import time

def test_hangs():
    time.sleep(600)
""",
    "lock of a joined thread": """
import threading

lock = threading.Lock()

def wait_in_thread():
    with lock:
        pass

def test_hangs():
    thread = threading.Thread(target=wait_in_thread, name="waits")
    with lock:
        thread.start()
        thread.join()
""",
    "subprocess": """
import subprocess
import sys

def test_hangs():
    subprocess.run([sys.executable, "-c", "import time; time.sleep(600)", __file__])
""",
    "block of a subprocess": """
import subprocess
import sys

def test_hangs():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", __file__]):
        pass
""",
    "async": """
import anyio

async def test_hangs():
    try:
        await anyio.sleep(600)
    finally:
        print("cleaned up")
""",
    "async that ignores it once": """
import anyio

async def test_hangs():
    try:
        await anyio.sleep(600)
    except anyio.get_cancelled_exc_class():
        pass
    await anyio.sleep(600)
""",
    "thread of a coroutine": """
import threading
from anyio.to_thread import run_sync

async def test_hangs():
    event = threading.Event()
    try:
        await run_sync(event.wait, abandon_on_cancel=True)
    finally:
        event.set()
""",
    "busy coroutine": """
async def test_hangs():
    while True:
        pass
""",
    "setup": """
import time

import pytest

@pytest.fixture
def slow():
    time.sleep(600)

def test_hangs(slow):
    pass
""",
    "teardown": """
import time

import pytest

@pytest.fixture
def slow():
    yield
    time.sleep(600)

def test_hangs(slow):
    pass
""",
    "async setup": """
import anyio
import pytest

@pytest.fixture
async def slow(anyio_backend):
    await anyio.sleep(600)

async def test_hangs(slow):
    pass
""",
    "async teardown": """
import anyio
import pytest

@pytest.fixture(scope="module")
async def shared(anyio_backend):
    yield

@pytest.fixture
async def slow(shared):
    yield
    await anyio.sleep(600)

async def test_hangs(slow):
    pass
""",
    "hypothesis": """
import anyio
from hypothesis import given, strategies

@given(strategies.none())
async def test_hangs(nothing):
    await anyio.sleep(600)
""",
}
LEFT_THREAD = """
import threading

def test_hangs():
    threading.Thread(target=threading.Event().wait).start()
    threading.Event().wait()
"""
STUBBORN = """
import time

def test_hangs():
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass
"""
NEXT = """
import anyio

async def test_next():
    await anyio.sleep(0)

def test_last():
    pass
"""


def run_tests(folder: Path, tests: Mapping[str, str], *options: str) -> tuple[int, str]:
    """Run these tests, by file, with the hooks of all tests and shorter limits; return the exit status and output."""
    folder.joinpath("conftest.py").write_text(IMPATIENT)
    for name, code in tests.items():
        folder.joinpath(f"test_{name.replace(' ', '_')}.py").write_text(code + NEXT)
    plugins = [argument for name in ("anyio", "xdist", "_hypothesis_pytestplugin") for argument in ("-p", name)]
    settings = ["-c", os.devnull, "-o", "anyio_mode=auto", "-W", "error", "-p", "no:cacheprovider", "-rA"]
    command = [sys.executable, "-m", "pytest", *plugins, *settings, *options, "--rootdir", str(folder), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=150,
        check=False,
    )
    return done.returncode, done.stdout


def find_processes(argument: str) -> list[str]:
    """Return the folders in /proc of the processes that have this in an argument."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if argument in path.read_text():
                found.append(str(path.parent))
        except OSError:  # a process that has ended meanwhile
            continue
    return found


def test_each_hang_is_one_failing_test_and_the_run_goes_on(tmp_path: Path) -> None:
    status, output = run_tests(tmp_path, HANGS, "-n", "2", "--dist", "loadfile")
    phases = {name.replace(" ", "_"): PHASES.get(name, "call") for name in HANGS}
    outcomes = re.findall(r"^(PASSED|FAILED|ERROR) test_(\w+).py::(\w+)", output, re.MULTILINE)
    assert {name for outcome, name, test in outcomes if outcome != "PASSED" and test == "test_hangs"} == set(phases)
    others = Counter((outcome, test) for outcome, _, test in outcomes if test != "test_hangs")
    assert others == {("PASSED", "test_next"): 2 * len(HANGS), ("PASSED", "test_last"): len(HANGS)}, output
    said = re.findall(r"^E .*hangs: the (\w+) of test_(\w+).py::test_hangs.* took more than", output, re.MULTILINE)
    assert {name: phase for phase, name in said} == phases
    assert output.count("cleaned up") == 2  # on asyncio and on trio
    assert "wait_in_thread" in output.partition("stacks of other threads")[2]
    assert status == 1
    assert find_processes(str(tmp_path)) == []


def test_thread_that_is_left_does_not_keep_the_process(tmp_path: Path) -> None:
    status, output = run_tests(tmp_path, {"thread": LEFT_THREAD}, "-n", "0")
    assert "left a thread behind" in output
    assert "PASSED test_thread.py::test_last" in output
    assert "Timeout (0:00:01)!" in output
    assert status == 1


def test_test_that_nothing_ends_ends_the_process(tmp_path: Path) -> None:
    status, output = run_tests(tmp_path, {"stubborn": STUBBORN}, "-n", "0")
    assert re.search(r'Timeout \(0:00:01\)!.*test_stubborn.py", line \d+ in test_hangs', output, re.DOTALL)
    assert status == 1
