"""Forks that do not wait until a thread has imported: the child imports anew what was half imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.intake import Intake, running_intake
from tests.otlp.received import points_of, requests_of

FORK = """
import os, sys, threading, warnings
import asyncdsm
from asyncdsm._internal import forks
warnings.simplefilter("ignore")
forks.LONGEST_WAIT_SECONDS = 0.01
half, go_on = threading.Event(), threading.Event()

def fork_and_wait(in_child):
    assert half.wait(20)
    child = os.fork()
    if child == 0:
        try:
            in_child()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
"""


def run(program: str, folder: Path, **more: str) -> None:
    environ = {**os.environ, **more, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]), "DD_SERVICE": "s"}
    done = subprocess.run(
        [sys.executable, "-c", FORK + program], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_child_imports_anew_what_was_half_imported(tmp_path: Path) -> None:
    package = tmp_path / "slow"
    package.mkdir()
    (package / "done.py").write_text("value = 1\n")
    (package / "__init__.py").write_text(
        "from .done import value\nimport __main__\n"
        "total = done.value + 1\n"  # the import of a submodule binds its name
        "__main__.half.set(); __main__.go_on.wait(20)\n"
        "after = 3\n"
    )
    (tmp_path / "forking.py").write_text(
        "import __main__\n__main__.fork_and_wait(__main__.use)\nafter = 4\n"  # half imported itself, by its own thread
    )
    run(
        """
streams = asyncdsm.DataStreams().__enter__()
def load():
    with forks.import_lock:
        import slow
def use():
    go_on.set()
    assert not forks._held and "slow" not in sys.modules and "slow.done" not in sys.modules
    import slow, slow.done
    assert (slow.after, slow.total, slow.done.value) == (3, 2, 1)
    assert "forking" in sys.modules
loading = threading.Thread(target=load)
loading.start()
import forking
go_on.set()
loading.join()
import slow
assert (slow.after, forking.after) == (3, 4)
streams.close()
""",
        tmp_path,
    )


def test_child_delivers_that_is_forked_while_asyncdsm_imports(tmp_path: Path) -> None:
    with running_intake(intake=Intake(answer=200)) as receiver:
        run(
            """
from importlib.machinery import PathFinder
class Slow(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != "google.protobuf.descriptor" or half.is_set():
            return None
        spec = PathFinder.find_spec(name, path, target)
        execute = spec.loader.exec_module
        def execute_slowly(module):
            half.set()
            go_on.wait(20)
            execute(module)
        spec.loader.exec_module = execute_slowly
        return spec
sys.meta_path.insert(0, Slow)
def record():
    asyncdsm.set_produce_checkpoint("memory", "orders", {}.__setitem__)
def in_child():
    go_on.set()
    assert not forks._held
    record()
    streams.close()
    stats = streams.stats
    assert (stats.delivered, stats.dropped) == (1, 0), stats
streams = asyncdsm.DataStreams(asyncdsm.Settings.from_environ(os.environ, bucket_seconds=0.2, shutdown_seconds=30))
streams.__enter__()
record()
fork_and_wait(in_child)
go_on.set()
streams.close()
""",
            tmp_path,
            ASYNCDSM_DESTINATIONS="otlp",
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        )
    processes = {
        attributes["service.instance.id"]
        for request in requests_of(receiver)
        for attributes, _ in points_of(request, "messaging.client.sent.messages")
    }
    assert len(processes) == 2
