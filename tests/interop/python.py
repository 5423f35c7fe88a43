"""Python: ddtrace with confluent-kafka, Kombu and boto3, all of which the tests' environment has."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.interop.done import report_end
from tests.interop.relay import Relay

HERE = Path(__file__).parent / "python_relay"
SETTINGS = {
    "DD_TRACE_KOMBU_ENABLED": "true",  # off by default
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_STARTUP_LOGS": "false",
}


def install_python() -> list[str]:
    """Return the command: ddtrace-run, as its users start their programs."""
    settings = [f"{name}={value}" for name, value in SETTINGS.items()]
    ddtrace_run = Path(sys.executable).with_name("ddtrace-run")
    return report_end(["env", *settings, str(ddtrace_run), sys.executable, str(HERE / "relay.py")])


RELAY = Relay(language="python", brokers=frozenset({"kafka", "rabbitmq", "sqs"}), install=install_python)
