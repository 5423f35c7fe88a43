"""The example of metrics over OTLP: each order and each invoice is counted, and all of them arrive."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.otlp.received import otlp_receiver, points_of, requests_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "otlp" / "orders_in_memory.py"


def test_example_sends_what_it_counts_over_otlp() -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DD_", "OTEL_"))}
    with otlp_receiver() as receiver:
        environ = {**kept, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "DD_SERVICE": "shop", "ORDERS": "60"}
        environ["ASYNCDSM_DESTINATIONS"] = "otlp"
        ended = subprocess.run(
            [sys.executable, str(EXAMPLE)], env=environ, capture_output=True, text=True, check=True, timeout=60
        )
    assert ended.stdout.startswith("Stats(recorded=180, delivered=180, pending=0, ")
    last = requests_of(receiver)[-1]
    sent = {
        attributes["messaging.destination.name"]: point.as_int
        for attributes, point in points_of(last, "messaging.client.sent.messages")
    }
    assert sent == {"orders": 60, "invoices": 60}
    for name in ("asyncdsm.queue.duration", "asyncdsm.process.duration", "asyncdsm.pathway.duration"):
        ((attributes, point),) = points_of(last, name)
        assert (attributes["service.name"], point.count) == ("shop", 60), name
