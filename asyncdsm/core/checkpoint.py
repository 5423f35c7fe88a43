"""The hot path: the checkpoints that read, continue and write the pathway of a message.

All of it is look-ups, arithmetic and one append: no hashing, no sorting, no string beyond the header itself, no lock,
no await. While nothing measures, every function does nothing. A function marked **hot** runs for every message. The
figures in the comments were measured on CPython 3.11, where `consume` and the produce after it together take 2 µs.
"""

from __future__ import annotations

from collections.abc import Callable

from asyncdsm._internal.log import warn_each_minute
from asyncdsm.core.current import Layer, consume_layers, current_context, is_consume_suppressed, skip_closed_layers
from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import Context, Pathway, encode_header, read_context
from asyncdsm.core.recorder import FOLD_AT, Recorder, Sample

# .NET ignores a context more than 60 s in the future (protocol §3): its latencies would make no sense to anybody.
_FUTURE_NS = 60_000_000_000
_HOOK_FAILED = "asyncdsm hook failed; the message was not affected: %r"

PendingProduce = tuple[bytes, Sample]
"""A header to put on a message, and the checkpoint to count once the client has taken the message."""

# Bound here: CPython 3.11 calls a method of an imported name 50 ns later than one of a name of this module.
_get_current, _set_current = current_context.get, current_context.set

_recorder: Recorder | None = None
_start_recorder: Callable[[], Recorder | None] | None = None


def consume(
    edge: Edge, header: str | bytes | None = None, size: int | None = None, broker_ns: int | None = None
) -> Context | None:
    """Record that a message was consumed, make its pathway the current one, and return it. **Hot**.

    `header` is the context's base64 text, `size` the message's bytes, `broker_ns` the broker's time of the message.
    Without a header, or with one that cannot be read, a pathway starts here, at `broker_ns` if it is given, and never
    continues the message before (protocol §5). Returns None, with nothing recorded or changed, while nothing measures
    and where a layer above counts what is received (`open_layer`).
    """
    recorder = _recorder or ensure_recorder()
    if recorder is None or (consume_layers and is_consume_suppressed()):
        return None
    now = recorder.now()
    if header is None:
        parent, start, previous = _begin_pathway(recorder, broker_ns, now)
    else:
        context = read_context(header, recorder.max_header_bytes)
        if context is None or context[2] > now + _FUTURE_NS:
            recorder.counters.increment("malformed")
            context = _begin_pathway(recorder, broker_ns, now)
        parent, start, previous = context
    point = edge.points.get(parent) if edge.owner is recorder else None
    if point is None:
        point = recorder.find_consume_point(edge, parent)
        if point.parent != parent:  # the pathway went in circles: another one starts
            start = previous
    samples = recorder.samples
    samples.append((point, now, now - previous, now - start, size))  # as `finish_produce` does, 50 ns sooner
    if len(samples) >= FOLD_AT:
        recorder.fold()
    pathway = point.hash, start, now
    _set_current(pathway)
    return pathway


def begin_produce(edge: Edge, size: int | None = None, key_bytes: int | None = None) -> PendingProduce | None:
    """Return a header to put on a message that is about to be produced, and the message's checkpoint. **Hot**.

    The header is the context's base64 text as ASCII bytes. `finish_produce` counts the checkpoint, once the client has
    taken the message. The parent is the message *consumed* last by this flow of execution (protocol §5). `size` is the
    message's bytes; with `key_bytes`, the length of the header's key, the header is added to it. Returns None while
    nothing measures, and inside `suppress_nested_checkpoints`.
    """
    recorder = _recorder or ensure_recorder()
    if recorder is None:
        return None
    current = _get_current()
    if type(current) is Layer:  # 20 ns, `isinstance` 50
        current = skip_closed_layers(current)
        if type(current) is Layer:
            return None
    now = recorder.now()
    parent, start, previous = current or (0, now, now)
    point = edge.points.get(parent) if edge.owner is recorder else None
    if point is None:
        point = recorder.find_produce_point(edge, parent)
    header = encode_header(point.hash, start, now)
    if size is not None and key_bytes is not None:
        size += key_bytes + len(header)
    return header, (point, now, now - previous, now - start, size)


def finish_produce(sample: Sample) -> None:
    """Count a checkpoint that `begin_produce` made. Never raises, since the message is on its way. **Hot**."""
    recorder = _recorder
    if recorder is not None:
        try:
            samples = recorder.samples
            samples.append(sample)
            if len(samples) >= FOLD_AT:
                recorder.fold()
        except Exception as error:
            report_hook_error(error)


def incoming_pathway(header: str | bytes | None, broker_ns: int | None = None) -> Context | None:
    """Return the pathway that a message carries, and record nothing. None while nothing measures.

    Without a context that can be read, a pathway starts here, at `broker_ns` if it is given.
    """
    recorder = ensure_recorder()
    return None if recorder is None else _context_or_start(recorder, header, broker_ns)


def peek_consume(edge: Edge, header: str | bytes | None, broker_ns: int | None = None) -> Context | None:
    """Return the pathway that `consume` would make current, and record nothing. None while nothing measures."""
    recorder = ensure_recorder()
    if recorder is None:
        return None
    parent, start, _ = _context_or_start(recorder, header, broker_ns)
    return recorder.point(edge, parent).hash, start, recorder.now()


def pathway_after(sample: Sample) -> Pathway:
    """Return the pathway of the message whose checkpoint this is."""
    point, now, _, pathway_ns, _ = sample
    return Pathway(point.hash, now - pathway_ns, now)


def record_not_propagated() -> None:
    """Count a produced message that could not carry its context."""
    if _recorder is not None:
        _recorder.counters.increment("not_propagated")


def report_hook_error(error: Exception) -> None:
    """Keep an error of asyncdsm from the program: it is counted, and logged once a minute. Under test it is raised."""
    if _recorder is None:
        warn_each_minute("hook", _HOOK_FAILED, error, error=error)
    else:
        _recorder.report_error(error, "hook", _HOOK_FAILED)


def ensure_recorder() -> Recorder | None:
    """Return what takes the checkpoints. A DataStreams that waits for the first one starts, perhaps with a thread."""
    return _recorder or (None if _start_recorder is None else _start_recorder())


def current_recorder() -> Recorder | None:
    """Return what takes the checkpoints, and start nothing."""
    return _recorder


def set_recorder(recorder: Recorder | None, start: Callable[[], Recorder | None] | None = None) -> None:
    """Let checkpoints go to `recorder`. With None, `start` is called for one at the next checkpoint."""
    global _recorder, _start_recorder
    _recorder, _start_recorder = recorder, start


def _context_or_start(recorder: Recorder, header: str | bytes | None, broker_ns: int | None) -> Context:
    """Return the context of a header that can be read and is not far in the future; else a pathway begins."""
    now = recorder.now()
    context = None if header is None else read_context(header, recorder.max_header_bytes)
    if context is None or context[2] > now + _FUTURE_NS:
        return _begin_pathway(recorder, broker_ns, now)
    return context


def _begin_pathway(recorder: Recorder, broker_ns: int | None, now: int) -> Context:
    """Return the context of a message without one: no parent, and the broker's time of it as its start, if it has one.

    A time far in the future, as a client may write, is ignored: it would not fit into a context. A value that is not a
    whole number is ignored too, and counted as malformed.
    """
    if type(broker_ns) is not int:
        if broker_ns is not None:
            recorder.counters.increment("malformed")
        return 0, now, now
    start = broker_ns if 0 < broker_ns <= now + _FUTURE_NS else now
    return 0, start, start
