"""Programs that import ddtrace, which would change everything else in this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.brokers.process import free_port

HERE = Path(__file__).parent
VERSION = "4.16.0"
"""Whom we agree with."""


def run(program: str, stdin: str = "", **environ: str) -> str:
    """Run a program of this folder and return its stdout; ddtrace gets none of this process's settings.

    Its process tags are off: 4.16 hashes them, upstream took that out again (protocol §2), and we never did.
    Raises AssertionError with its stderr when it fails, as it does without ddtrace.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith(("DD_", "OTEL_"))}
    given = {
        "DD_TRACE_AGENT_URL": f"http://127.0.0.1:{free_port()}",
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_EXPERIMENTAL_PROPAGATE_PROCESS_TAGS_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        **environ,
    }
    done = subprocess.run(
        [sys.executable, str(HERE / program)],
        input=stdin, capture_output=True, text=True, timeout=60, env={**inherited, **given}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask(**questions: list[Any]) -> dict[str, Any]:
    """Return ddtrace's answers to the questions of `reference.py`; those not asked are empty."""
    every: dict[str, list[Any]] = {"hashes": [], "contexts": [], "headers": [], "sketches": [], **questions}
    answers: dict[str, Any] = json.loads(run("reference.py", json.dumps(every)))
    assert answers["version"] == VERSION
    return answers
