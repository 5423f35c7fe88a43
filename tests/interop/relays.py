"""All relays: asyncdsm's own, and one per language."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.interop import golang, java, javascript, python
from tests.interop.relay import Relay

ASYNCDSM = Relay(
    "asyncdsm",
    frozenset({"kafka", "rabbitmq", "sqs"}),
    lambda: [sys.executable, str(Path(__file__).with_name("asyncdsm_relay.py"))],
)
RELAYS = [
    golang.RELAY,
    java.RELAY,
    javascript.RELAY,
    python.RELAY,
]
"""Those of other tracers."""
