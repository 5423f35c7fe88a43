"""A user's program in a process of its own, that records, and reports what became of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.intake import Intake

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0

PREAMBLE = """
import asyncio, json, multiprocessing, os, random, signal, sys, threading, time
from tests import by_hand
import asyncdsm
from asyncdsm.core import current
from asyncdsm.core.edge import Edge
from tests.chaos.leftovers import belongings, left_over
EDGES = [Edge("direction:out", f"topic:{number}", "type:kafka") for number in range(5)]
made = 0
def DataStreams(**more):
    return asyncdsm.DataStreams(asyncdsm.Settings.from_environ(os.environ, shutdown_seconds=60.0, **more))
def record(times=1):
    global made
    for number in range(times):
        by_hand.produce(EDGES[number % 5], 100)
        made += 1
def say(**what):
    sys.stdout.write(json.dumps(what) + "\\n")
    sys.stdout.flush()
def run_main(main):
    before = belongings()
    asyncio.run(main())
    say(left=left_over(before))
def say_accounts(streams, **more):
    stats = streams.stats
    say(made=made, recorded=stats.recorded, delivered=stats.delivered, pending=stats.pending, dropped=stats.dropped,
        errors=stats.errors, **more)
"""


def start(intake: Intake, program: str, *, before: str = "", **environ: str) -> subprocess.Popen[str]:
    """Start a program: the preamble, and what is given, some of it `before`."""
    return subprocess.Popen(
        [sys.executable, "-c", before + PREAMBLE + program],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error,ignore:This process:DeprecationWarning",
            "DD_TRACE_AGENT_URL": intake.url,
            "DD_SERVICE": "s",
            **environ,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]], str]:
    """Wait for a program; return its exit status, what it said, line by line, and its complaints."""
    with process:
        try:
            out, complaints = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
    return process.returncode, [json.loads(line) for line in out.splitlines()], complaints


def run(intake: Intake, program: str, *, before: str = "", **environ: str) -> tuple[int, list[dict[str, Any]], str]:
    """Run a program to its end."""
    return ended(start(intake, program, before=before, **environ))
