"""The plain core's checkpoints, which read, continue and write the pathway of a message.

While nothing measures, every function does nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from asyncdsm.core import recorder as recorders
from asyncdsm.core.context import LATEST_AHEAD_NS, decode_header, encode_header
from asyncdsm.core.current import Layer, consume_layers, current_context, is_consume_suppressed, skip_closed_layers
from asyncdsm.core.edge import Edge, Point
from asyncdsm.core.pathway import Pathway
from asyncdsm.core.recorder import Recorder

Hook = Callable[[Point, int, int], object]
"""Called at each checkpoint: its point, its time and its edge latency in ns. It must not raise."""

_recorder: Recorder | None = None
_start_recorder: Callable[[], Recorder | None] | None = None
_checkpoint_hook: Hook | None = None


class PendingProduce:
    """The checkpoint of a message that is about to be produced."""

    __slots__ = ("_point", "_previous_ns", "header", "pathway", "size")

    def __init__(self, point: Point, pathway: Pathway, previous_ns: int, size: int | None) -> None:
        """`previous_ns` is the time of the checkpoint before."""
        self._point, self._previous_ns = point, previous_ns
        self.header: bytes = encode_header(*pathway)
        """The header to put on the message: the base64 text of its context, as ASCII bytes."""
        self.pathway: Pathway = pathway
        """The pathway of the message."""
        self.size: int | None = size
        """The message's bytes; None if they are not known."""


def consume(
    edge: Edge, header: str | bytes | None = None, size: int | None = None, broker_ns: int | None = None
) -> Pathway | None:
    """Record that a message was consumed, make its pathway the current one, and return it.

    `header` is the context's base64 text, `size` the message's bytes, `broker_ns` the broker's time of the message.
    Without a header, or with one that cannot be read, a pathway starts here, at `broker_ns` if it is given, and never
    continues the message before (protocol §5). Returns None, with nothing recorded or changed, while nothing measures
    and where a layer above counts what is received (`open_layer`).
    """
    recorder = ensure_recorder()
    if recorder is None or (consume_layers and is_consume_suppressed()):
        return None
    now = recorder.now()
    parent, start, previous = _read_context(recorder, header, broker_ns, now, is_counted=True)
    point = edge.find_point(recorder.id, parent) or recorder.find_consume_point(edge, parent)
    if point.parent != parent:  # the pathway went in circles: another one starts
        start = previous
    recorder.record(point, now, now - previous, now - start, size)
    pathway = Pathway(point.hash, start, now)
    current_context.set(pathway)
    if _checkpoint_hook is not None:
        _checkpoint_hook(point, now, now - previous)
    return pathway


def begin_produce(edge: Edge, size: int | None = None, key_bytes: int | None = None) -> PendingProduce | None:
    """Return the checkpoint of a message that is about to be produced, with the header to put on it.

    `finish_produce` counts it, once the client has taken the message. The parent is the message *consumed* last by this
    flow of execution (protocol §5). `size` is the message's bytes; with `key_bytes`, the length of the header's key,
    the header is added to it. Returns None while nothing measures, and inside `suppress_nested_checkpoints`.
    """
    recorder = ensure_recorder()
    current = skip_closed_layers(current_context.get())
    if recorder is None or isinstance(current, Layer):
        return None
    now = recorder.now()
    parent, start, previous = current or (0, now, now)
    point = edge.find_point(recorder.id, parent) or recorder.find_produce_point(edge, parent)
    pending = PendingProduce(point, Pathway(point.hash, start, now), previous, size)
    if size is not None and key_bytes is not None:
        pending.size = size + key_bytes + len(pending.header)
    if _checkpoint_hook is not None:
        _checkpoint_hook(point, now, now - previous)
    return pending


def finish_produce(pending: PendingProduce) -> None:
    """Count a checkpoint that `begin_produce` made. Never raises, since the message is on its way."""
    recorder = _recorder
    if recorder is not None:
        try:
            _, start, now = pending.pathway
            recorder.record(pending._point, now, now - pending._previous_ns, now - start, pending.size)
        except Exception as error:
            report_hook_error(error)


def incoming_pathway(header: str | bytes | None, broker_ns: int | None = None) -> Pathway | None:
    """Return the pathway that a message carries, and record nothing. None while nothing measures.

    Without a context that can be read, a pathway starts here, at `broker_ns` if it is given.
    """
    recorder = ensure_recorder()
    return None if recorder is None else Pathway(*_read_context(recorder, header, broker_ns, recorder.now()))


def peek_consume(edge: Edge, header: str | bytes | None, broker_ns: int | None = None) -> Pathway | None:
    """Return the pathway that `consume` would make current, and record nothing. None while nothing measures."""
    recorder = ensure_recorder()
    if recorder is None:
        return None
    now = recorder.now()
    parent, start, _ = _read_context(recorder, header, broker_ns, now)
    return Pathway(recorder.point(edge, parent).hash, start, now)


def record_not_propagated() -> None:
    """Count a produced message that could not carry its context."""
    if _recorder is not None:
        _recorder.counters.increment("not_propagated")


def report_hook_error(error: Exception) -> None:
    """Keep an error of asyncdsm from the program: it is counted, and logged once a minute. Under test it is raised."""
    recorders.report_hook_error(_recorder, error)


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


def set_checkpoint_hook(hook: Hook | None) -> None:
    """Have this called at each checkpoint that is counted or begun; None for no hook, which is free."""
    global _checkpoint_hook  # noqa: PLW0603
    _checkpoint_hook = hook


def _read_context(
    recorder: Recorder, header: str | bytes | None, broker_ns: int | None, now: int, *, is_counted: bool = False
) -> tuple[int, int, int]:
    """Return the context of a header: the parent, and the times of the pathway's first and last checkpoint.

    Without one that can be read and is not far in the future, a pathway begins: no parent, and the broker's time of the
    message as its start, if it has one. A broker's time far in the future, as a client may write, is ignored: it would
    not fit into a context. With `is_counted`, what cannot be used is counted as malformed.
    """
    malformed = 0
    if header is not None:
        context = decode_header(header, recorder.max_header_bytes)
        if context is not None and context[2] <= now + LATEST_AHEAD_NS:
            return context
        malformed += 1
    start = now
    if type(broker_ns) is int:
        start = broker_ns if 0 < broker_ns <= now + LATEST_AHEAD_NS else now
    elif broker_ns is not None:
        malformed += 1
    if is_counted and malformed:
        recorder.counters.increment("malformed", malformed)
    return 0, start, start
