"""What others take to record one number, beside the two checkpoints of a message, which record six: CPU of each.

A queue time in a histogram with two labels is what a program would measure of its messages by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from itertools import cycle, islice
from typing import Any

from benchmarks.checkpoint import BLOCKS, HEADER, least_seconds
from benchmarks.contest import Benchmark, Claim, Contestant, Figures
from benchmarks.cores import NATIVE, PLAIN, built_cores, core_in_use, environ_of, target
from benchmarks.messages import contexts
from benchmarks.sink import sink

DIFFERENT = 1_000
"""How many messages differ; the same ones come again, so that more of them take no longer to make."""
CALLS = BLOCKS + 1
"""How many operations `least_seconds` makes of each message."""
DDTRACE = {
    "DD_DATA_STREAMS_ENABLED": "true",
    "_DD_TRACE_STATS_WRITER_INTERVAL": "3600",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
}

Work = Callable[[Any], object]


def empty_call(count: int) -> float:
    """A function that does nothing, which all others are called like."""

    def nothing(message: Any) -> None:
        pass

    return _microseconds(count, nothing)


def asyncdsm_native(count: int) -> float:
    """A consume and the produce after it, by the functions that an integration calls, on the native core."""
    assert core_in_use() == NATIVE
    return asyncdsm_adapter(count)


def asyncdsm_plain(count: int) -> float:
    """The same on the plain core."""
    assert core_in_use() == PLAIN
    return asyncdsm_adapter(count)


def asyncdsm_adapter(count: int) -> float:
    """The same on the core that is in use."""
    from asyncdsm.core import checkpoint
    from asyncdsm.core.edge import Edge

    out, into = Edge("direction:out", "topic:a", "type:kafka"), Edge("direction:in", "topic:b", "type:kafka")

    def pair(header: str) -> None:
        checkpoint.consume(into, header, 200)
        pending = checkpoint.begin_produce(out, 200)
        if pending is not None:
            checkpoint.finish_produce(pending)

    return _recorded(count, pair)


def asyncdsm_manual(count: int) -> float:
    """The same by the functions that a user calls."""
    from asyncdsm import set_consume_checkpoint, set_produce_checkpoint

    invoice = dict[str, str]()

    def pair(header: str) -> None:
        set_consume_checkpoint("kafka", "orders", {HEADER: header}.get)
        set_produce_checkpoint("kafka", "invoices", invoice.__setitem__)

    return _recorded(count, pair)


def ddtrace_manual(count: int) -> float:
    """The same by the functions that a user of ddtrace calls."""
    ddtrace: Any = import_module("ddtrace.data_streams")
    invoice = dict[str, str]()

    def pair(header: str) -> None:
        ddtrace.set_consume_checkpoint("kafka", "orders", {HEADER: header}.get)
        ddtrace.set_produce_checkpoint("kafka", "invoices", invoice.__setitem__)

    figure = _microseconds(count, pair)
    assert invoice, "ddtrace did nothing"
    return figure


def opentelemetry_histogram(count: int) -> float:
    """A queue time, recorded by a histogram of OpenTelemetry's SDK that a reader reads."""
    metrics: Any = import_module("opentelemetry.sdk.metrics")
    export: Any = import_module("opentelemetry.sdk.metrics.export")
    reader = export.InMemoryMetricReader()
    provider = metrics.MeterProvider(metric_readers=[reader])
    histogram = provider.get_meter("benchmark").create_histogram("messaging.queue.time", unit="s")

    def record(header: str) -> None:
        histogram.record(0.012, {"messaging.destination.name": "orders", "messaging.consumer.group.name": "billing"})

    figure = _microseconds(count, record)
    (resource,) = reader.get_metrics_data().resource_metrics
    (point,) = resource.scope_metrics[0].metrics[0].data.data_points
    assert point.count == CALLS * count
    return figure


def prometheus_histogram(count: int) -> float:
    """A queue time, observed by a histogram of prometheus-client."""
    prometheus: Any = import_module("prometheus_client")
    registry = prometheus.CollectorRegistry()
    histogram = prometheus.Histogram("queue_seconds", "Time in the queue", ["topic", "group"], registry=registry)

    def observe(header: str) -> None:
        histogram.labels("orders", "billing").observe(0.012)

    figure = _microseconds(count, observe)
    labels = {"topic": "orders", "group": "billing"}
    assert registry.get_sample_value("queue_seconds_count", labels) == CALLS * count
    return figure


def _recorded(count: int, work: Work) -> float:
    """Measure checkpoints that an aggregator takes. No DataStreams runs: nothing is delivered meanwhile."""
    from asyncdsm.core import checkpoint
    from asyncdsm.core.aggregator import Aggregator

    aggregator = Aggregator("bench", None)
    checkpoint.set_recorder(aggregator)
    figure = _microseconds(count, work)
    stats = aggregator.stats()
    assert (stats.recorded, stats.dropped, stats.malformed) == (2 * CALLS * count, 0, 0)
    return figure


def _microseconds(count: int, work: Work) -> float:
    return least_seconds(list(islice(cycle(contexts(DIFFERENT)), count)), work) * 1e6


EMPTY, MANUAL, DD = "an empty call", "asyncdsm, by hand", "ddtrace, by hand"
OTEL, PROMETHEUS = "OpenTelemetry, one histogram", "prometheus-client, one histogram"


def _adapter(core: str) -> str:
    return f"asyncdsm, {core} core, as an adapter"


def _share(ours: str, theirs: str) -> Callable[[Figures], float]:
    return lambda figures: (figures[ours] - figures[EMPTY]) / (figures[theirs] - figures[EMPTY])


def _of(core: str) -> tuple[Claim, ...]:
    return (
        Claim(f"{core} core, of ddtrace", _share(_adapter(core), DD), 0.008 if core == NATIVE else 0.1),
        Claim(f"{core} core, of one number recorded by OpenTelemetry", _share(_adapter(core), OTEL)),
        Claim(f"{core} core, of one number observed by prometheus-client", _share(_adapter(core), PROMETHEUS)),
    )


BENCHMARK = Benchmark(
    title="A consume and the produce after it, beside others that record one number, CPU",
    unit="µs",
    count=10_000,
    contestants=(
        Contestant(EMPTY, "empty_call"),
        *(Contestant(_adapter(core), f"asyncdsm_{core}", environ_of(core)) for core in built_cores()),
        Contestant(MANUAL, "asyncdsm_manual"),
        Contestant(DD, "ddtrace_manual", DDTRACE),
        Contestant(OTEL, "opentelemetry_histogram"),
        Contestant(PROMETHEUS, "prometheus_histogram"),
    ),
    claims=(
        *(claim for core in built_cores() for claim in _of(core)),
        Claim("by hand, of ddtrace", _share(MANUAL, DD), target(native=0.02, plain=None)),
        *(
            Claim("the native core, of the plain one", _share(_adapter(NATIVE), _adapter(PLAIN)))
            for core in built_cores()
            if core == NATIVE
        ),
    ),
    surroundings=sink,
    operations=CALLS,
)
