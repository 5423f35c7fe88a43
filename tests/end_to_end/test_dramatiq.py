"""`asyncdsm run dramatiq`: worker processes that are forked or spawned deliver what they have recorded at their end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from tests.intake import running_intake

ROOT = Path(__file__).parents[2]
MESSAGES = 20
SEND = f"""
from tests.integrations.dramatiq.app import first
for number in range({MESSAGES}):
    first.send(number)
"""


@pytest.mark.parametrize("options", [[], ["--use-spawn"]], ids=["fork", "spawn"])
def test_worker_processes_deliver_one_pathway(options: list[str], redis: str, tmp_path: Path) -> None:
    done = tmp_path / "done"
    with running_intake() as intake:
        environ = {
            **os.environ,
            "REDIS": redis,
            "QUEUE": f"tasks-{uuid4().hex[:8]}",
            "DD_SERVICE": "s",
            "DD_TRACE_AGENT_URL": intake.url,
            "DONE": str(done),
            "PYTHONPATH": str(ROOT),
        }
        run = [sys.executable, "-m", "asyncdsm", "run"]
        command = [*run, "dramatiq", "tests.integrations.dramatiq.app", "--processes", "2", "--threads", "2", *options]
        with open(tmp_path / "log", "wb") as log:
            worker = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
        try:
            subprocess.run([*run, sys.executable, "-c", SEND], cwd=ROOT, env=environ, check=True, timeout=60)
            deadline = time.monotonic() + 60
            while (not done.exists() or done.stat().st_size < MESSAGES) and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(60)
        points = {
            (str((point.edge_tags or ["?"])[0]), point.parent_hash): point.hash
            for payload in intake.payloads
            for bucket in payload.stats or ()
            for point in bucket.stats or ()
        }
    assert intake.counted() == MESSAGES * 4, (tmp_path / "log").read_text()
    sent = points["direction:out", 0]
    passed = points["direction:out", points["direction:in", sent]]
    assert ("direction:in", passed) in points
    assert len(points) == 4
