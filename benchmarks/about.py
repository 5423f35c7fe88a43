"""What a run measured: the machine, the core of asyncdsm, and the releases of those beside it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

from benchmarks.cores import core_in_use
from benchmarks.instructions import find_counter
from benchmarks.report import NOT_AVAILABLE
from tests.brokers.kafka_program import VERSION

PACKAGES = ("aiokafka", "confluent-kafka", "ddtrace", "opentelemetry-sdk", "prometheus-client")


def describe_run() -> dict[str, str]:
    """Return what the figures depend on, by its name. Raises PackageNotFoundError where a peer is not installed."""
    return {
        "asyncdsm's core": core_in_use(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": str(os.cpu_count()),
        **{package: version(package) for package in PACKAGES},
        "Apache Kafka": VERSION,
        "instructions by": find_counter() or NOT_AVAILABLE,
    }
