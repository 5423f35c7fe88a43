"""Traces and pathways know each other: the current span gets its pathway's hash, a slow message keeps its span's ids.

Nothing is imported here. What traces is found among the modules that the program has imported, and where there is
nothing of that kind, a checkpoint does nothing for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from asyncdsm.core import checkpoint
from asyncdsm.core.edge import Edge, Point

PATHWAY_HASH = "pathway.hash"
"""The attribute, as ddtrace names it: the hash as a decimal string."""
MOST_EXEMPLARS = 2000

Hook = Callable[[Point, int, int], object]


class Exemplar(NamedTuple):
    """The slowest message at an edge, and the span in which its checkpoint was made."""

    edge_ns: int
    """Its edge latency."""
    now_ns: int
    """The time of its checkpoint, in nanoseconds since the epoch."""
    trace_id: int
    span_id: int


class Exemplars:
    """The slowest traced message of each edge since the last time that somebody asked. At most 2,000 edges have one."""

    def __init__(self) -> None:
        self._slowest: dict[Edge, Exemplar] = {}

    def offer(self, edge: Edge, exemplar: Exemplar) -> None:
        """Keep an exemplar if no slower one is known."""
        slowest = self._slowest
        known = slowest.get(edge)
        if known is None:
            if len(slowest) < MOST_EXEMPLARS:
                slowest[edge] = exemplar
        elif exemplar.edge_ns > known.edge_ns:
            slowest[edge] = exemplar

    def pop_all(self) -> list[tuple[Edge, Exemplar]]:
        """Return the exemplars so far, and forget them."""
        taken, self._slowest = self._slowest, {}
        return list(taken.items())


def watch_spans(exemplars: Exemplars | None) -> None:
    """Connect checkpoints with the spans of what traces in this process, if anything does, from now on.

    What is imported later is found by the next call. `exemplars` gets slow messages; None if nobody wants them.
    """
    hooks = list(_find_hooks(exemplars))
    checkpoint.set_checkpoint_hook(None if not hooks else hooks[0] if len(hooks) == 1 else _call_each(hooks))


def ignore_spans() -> None:
    """End what `watch_spans` began."""
    checkpoint.set_checkpoint_hook(None)


def _find_hooks(exemplars: Exemplars | None) -> list[Hook]:
    hooks = list[Hook]()
    trace: Any = sys.modules.get("opentelemetry.trace")
    if hasattr(trace, "get_current_span"):
        hooks.append(_hook_opentelemetry(trace.get_current_span, exemplars))
    tracer: Any = getattr(sys.modules.get("ddtrace.trace"), "tracer", None)
    if getattr(tracer, "enabled", False) and hasattr(tracer, "current_span"):
        hooks.append(_hook_ddtrace(tracer.current_span, exemplars))
    return hooks


def _hook_opentelemetry(get_current_span: Callable[[], Any], exemplars: Exemplars | None) -> Hook:
    def note_checkpoint(point: Point, now_ns: int, edge_ns: int) -> None:
        try:
            span = get_current_span()
            if not span.is_recording():
                return
            span.set_attribute(PATHWAY_HASH, str(point.hash))
            if exemplars is not None:
                context = span.get_span_context()
                if context.trace_flags & 1:  # it is sampled
                    exemplars.offer(point.edge, Exemplar(edge_ns, now_ns, context.trace_id, context.span_id))
        except Exception as error:
            checkpoint.report_hook_error(error)

    return note_checkpoint


def _hook_ddtrace(current_span: Callable[[], Any], exemplars: Exemplars | None) -> Hook:
    def note_checkpoint(point: Point, now_ns: int, edge_ns: int) -> None:
        try:
            span = current_span()
            if span is None:
                return
            span.set_tag(PATHWAY_HASH, str(point.hash))
            if exemplars is not None:
                exemplars.offer(point.edge, Exemplar(edge_ns, now_ns, span.trace_id, span.span_id))
        except Exception as error:
            checkpoint.report_hook_error(error)

    return note_checkpoint


def _call_each(hooks: list[Hook]) -> Hook:
    def note_checkpoint(point: Point, now_ns: int, edge_ns: int) -> None:
        for hook in hooks:
            hook(point, now_ns, edge_ns)

    return note_checkpoint
