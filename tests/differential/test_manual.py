"""A program that calls ddtrace's manual checkpoints keeps its pathways when asyncdsm takes over."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.differential.process import run
from tests.intake import running_intake

PARENT = int.from_bytes(bytes.fromhex("0000000000000001"), "little")


def test_ddtraces_manual_checkpoints_reach_asyncdsm_while_it_measures() -> None:
    answers = json.loads(run("manual_calls.py", DD_DATA_STREAMS_ENABLED="true", DD_SERVICE="s"))
    before, meanwhile, after = (answers[name] for name in ("before", "meanwhile", "after"))
    assert meanwhile["header"] == meanwhile["encoded"]
    assert len(meanwhile["header"]) == len(before["header"]) == 28
    assert meanwhile["hashes"][1] == before["hashes"][1], "the same edges have the same names"
    assert after == {"header": None, "hashes": [None, None], "encoded": None}
    consumed, produced = meanwhile["hashes"]
    into = ["direction:in", "manual_checkpoint:true", "topic:orders", "type:nats", consumed, PARENT]
    out = ["direction:out", "exchange:bills", "manual_checkpoint:true", "topic:invoices", "type:nats", produced]
    assert sorted(map(str, answers["points"]["tags"])) == sorted(map(str, [into, [*out, consumed]]))


def test_manual_checkpoints_reach_asyncdsm_where_ddtraces_data_streams_are_off() -> None:
    answers = json.loads(run("manual_calls.py", DD_DATA_STREAMS_ENABLED="false", DD_SERVICE="s"))
    assert answers["before"]["header"] is None
    # The same variable turns asyncdsm off in `Settings.from_environ`; this program gives its settings itself.
    assert len(answers["meanwhile"]["header"]) == 28


def test_manual_checkpoint_alone_starts_asyncdsm_under_run() -> None:
    program = "from ddtrace.data_streams import set_produce_checkpoint as produce; produce('nats', 'orders', print)"
    with running_intake() as intake:
        environ = {"DD_TRACE_AGENT_URL": intake.url, "DD_SERVICE": "s", "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false"}
        done = subprocess.run(
            [sys.executable, "-m", "asyncdsm", "run", sys.executable, "-c", program],
            capture_output=True, text=True, timeout=60, env={**os.environ, **environ}, check=True,
        )  # fmt: skip
    assert done.stdout.startswith("dd-pathway-ctx-base64 ")
    assert intake.counted() == 1
