"""Beside gevent, threads are greenlets of one thread: the flush is one of them, and the others notice nothing."""

from __future__ import annotations

import os
import subprocess
import sys

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
