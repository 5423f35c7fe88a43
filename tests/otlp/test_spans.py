"""Traces and pathways know each other: hashes on spans, spans of slow messages in OTLP, else nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from time import time_ns
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from asyncdsm import DataStreams, Settings
from asyncdsm.core import checkpoint, spans
from asyncdsm.core.edge import Edge
from asyncdsm.delivery.exporters.memory import MemoryExporter
from tests import by_hand
from tests.otlp.received import otlp_receiver, points_of, requests_of

READ = Edge("direction:in", "group:billing", "topic:orders", "type:kafka")
SENT = Edge("direction:out", "topic:invoices", "type:kafka")
tracer = TracerProvider().get_tracer("tests")


@pytest.fixture
def measuring() -> Iterator[DataStreams]:
    with DataStreams(Settings(service="billing"), exporter=MemoryExporter()) as streams:
        yield streams


@pytest.mark.usefixtures("measuring")
def test_current_span_gets_the_hash_of_each_checkpoint_as_a_string() -> None:
    with tracer.start_as_current_span("read") as read:
        pathway = checkpoint.consume(READ, None, 100)
        assert pathway is not None
        assert read.attributes == {"pathway.hash": str(pathway.hash)}  # type: ignore[attr-defined]
    with tracer.start_as_current_span("send") as sent:
        pending = checkpoint.begin_produce(SENT)
        assert pending is not None
        assert sent.attributes == {"pathway.hash": str(pending.pathway.hash)}  # type: ignore[attr-defined]


@pytest.mark.usefixtures("measuring")
def test_span_that_is_not_recording_gets_nothing_and_nothing_fails() -> None:
    checkpoint.consume(READ, None)
    with TracerProvider(sampler=ALWAYS_OFF).get_tracer("tests").start_as_current_span("read") as read:
        checkpoint.consume(READ, None)
        assert not read.is_recording()


def test_error_of_a_tracer_never_reaches_the_program(measuring: DataStreams, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Any:
        raise LookupError("no span")

    monkeypatch.setattr(trace, "get_current_span", fail)
    spans.watch_spans(None)
    assert checkpoint.consume(READ, None) is not None
    assert (measuring.stats.recorded, measuring.stats.errors) == (1, 1)


def test_nothing_is_hooked_where_nothing_traces_or_measures() -> None:
    program = (
        "import sys, asyncdsm\n"
        "from asyncdsm.core import checkpoint, spans\n"
        "from asyncdsm.delivery.exporters.memory import MemoryExporter\n"
        "hooks = []\n"
        "spans.checkpoint.set_checkpoint_hook = hooks.append\n"
        "with asyncdsm.DataStreams(exporter=MemoryExporter()):\n"
        "    assert 'opentelemetry.trace' not in sys.modules\n"
        "    import opentelemetry.trace\n"
        "    spans.watch_spans(None)\n"
        "print([hook is None for hook in hooks])\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[True, False, True]"


def test_slowest_message_of_each_edge_takes_its_span_to_otlp() -> None:
    with otlp_receiver() as receiver, DataStreams(Settings(otlp_endpoint=f"{receiver.url}/v1/metrics")):
        spans_of = {}
        for seconds in (1, 3, 2):
            with tracer.start_as_current_span("read") as span:
                by_hand.consume(READ, None, broker_ns=time_ns() - seconds * 10**9)
                spans_of[seconds] = span.get_span_context()
        by_hand.consume(READ, None, broker_ns=time_ns() - 10**10)  # slower, but in no span
    ((_, point),) = points_of(requests_of(receiver)[-1], "asyncdsm.queue.duration")
    (exemplar,) = point.exemplars
    assert int.from_bytes(exemplar.trace_id) == spans_of[3].trace_id
    assert int.from_bytes(exemplar.span_id) == spans_of[3].span_id
    assert exemplar.as_double == pytest.approx(3, abs=0.5)
    ((_, pathway),) = points_of(requests_of(receiver)[-1], "asyncdsm.pathway.duration")
    assert not pathway.exemplars


def test_exemplars_are_bounded_and_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "MOST_EXEMPLARS", 1)
    exemplars = spans.Exemplars()
    slow, slower = spans.Exemplar(1, 0, 1, 1), spans.Exemplar(2, 0, 2, 2)
    for each in (slow, slower, slow):
        exemplars.offer(READ, each)
    exemplars.offer(SENT, slower)
    assert exemplars.pop_all() == [(READ, slower)]
    assert exemplars.pop_all() == []


@pytest.mark.parametrize("pure", ["0", "1"])
def test_both_cores_call_the_hook_with_point_time_and_edge_latency(pure: str) -> None:
    program = (
        "from asyncdsm.core.aggregator import Aggregator\n"
        "from asyncdsm.core import checkpoint\n"
        "from asyncdsm.core.edge import Edge\n"
        "times = iter([100, 250, 400])\n"
        "calls = []\n"
        "checkpoint.set_recorder(Aggregator('s', None, now=lambda: next(times)))\n"
        "checkpoint.set_checkpoint_hook(lambda *call: calls.append(call))\n"
        "read = checkpoint.consume(Edge('direction:in', 'topic:a'), None, None, 40)\n"
        "sent = checkpoint.begin_produce(Edge('direction:out', 'topic:b'))\n"
        "checkpoint.finish_produce(sent)\n"
        "checkpoint.set_checkpoint_hook(None)\n"
        "checkpoint.consume(Edge('direction:in', 'topic:a'), None, None, 40)\n"
        "assert [call[0].hash for call in calls] == [read.hash, sent.pathway.hash]\n"
        "print([call[1:] for call in calls])\n"
    )
    environ = {"ASYNCDSM_PURE": pure}
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environ)
    assert ended.stdout.strip() == "[(100, 60), (250, 150)]"


def test_ddtrace_span_gets_the_tag_that_ddtrace_would_have_set() -> None:
    program = (
        "from ddtrace.trace import tracer\n"
        "import asyncdsm\n"
        "from asyncdsm.delivery.exporters.memory import MemoryExporter\n"
        "with asyncdsm.DataStreams(asyncdsm.Settings(service='s'), exporter=MemoryExporter()):\n"
        "    with tracer.trace('read') as span:\n"
        "        asyncdsm.set_consume_checkpoint('kafka', 'orders', {}.get)\n"
        "        print(span.get_tag('pathway.hash') == str(asyncdsm.current_pathway().hash))\n"
        "    asyncdsm.set_consume_checkpoint('kafka', 'orders', {}.get)\n"
    )
    environ = {"DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_TRACE_AGENT_URL": "http://127.0.0.1:1"}
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environ, check=False)
    assert ended.stdout.strip() == "True", ended.stderr
