"""The hot path: the current pathway, and the checkpoints that make and follow it.

Everything here is look-ups, arithmetic and one append: no hashing, no sorting, no string built beyond the header
itself, no lock, no await. While no `DataStreams` runs, every function does nothing. What is marked **hot** runs for
every message; the figures beside its tricks are of CPython 3.11, where consume and produce together take about 2 µs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from asyncdsm._internal.log import warn_each_minute
from asyncdsm.core.aggregator import FOLD_AT, Aggregator, Sample
from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import Context, Pathway, context_in, wire_of

# .NET ignores a context more than 60 s in the future (protocol §3): its latencies would be nonsense for everybody.
_FUTURE_NS = 60_000_000_000

HOOK_FAILED = "a hook failed; the message went on: %r"

_current: ContextVar[Context | None] = ContextVar("asyncdsm_pathway", default=None)
_aggregator: Aggregator | None = None
_wake: Callable[[], Aggregator | None] | None = None
_new = tuple.__new__  # 80 ns; by the class itself a named tuple takes 200
# The ids of the open layers that count what is received through clients below them. Nearly always empty: to ask
# whether it is costs the hot functions 5 ns, to look at the current pathway's type would cost 45.
_receiving_layers: set[int] = set()


class Departure(NamedTuple):
    """A produce checkpoint not counted yet: put the context on the message, `depart` when the client took it."""

    wire: bytes
    """The context's base64 text, as ASCII bytes."""
    sample: Sample

    @property
    def header(self) -> str:
        """The context's base64 text."""
        return self.wire.decode()

    @property
    def pathway(self) -> Pathway:
        """The pathway of the message that is produced."""
        return pathway_at(self.sample)


class _Counted(Context):
    """The current pathway while a message goes through a client below an integration that counts it.

    Tasks made meanwhile copy it, and may live longer: once it is closed it stands for what was current before.
    """

    before: Context | None
    is_open: bool
    is_receiving: bool
    """Whether the integration above counts what is received, too."""


def consume(
    edge: Edge, header: str | bytes | None = None, size: int | None = None, broker_ns: int | None = None
) -> Pathway | None:
    """Record that a message was consumed, and make its pathway the current one.

    `header` is the context's base64 text; without one, or with one that cannot be read, a pathway starts here, at
    the broker's time of the message if there is one, and never on the message before (protocol §5). Returns the
    pathway, or None when nothing runs.
    """
    return _pathway(arrived(edge, header, size, broker_ns))


def arrived(
    edge: Edge, header: str | bytes | None = None, size: int | None = None, broker_ns: int | None = None
) -> Context | None:
    """Do what `consume` does, and return the Pathway's fields, 80 ns sooner. **Hot**.

    None too, with nothing recorded or changed, where a layer above counts what is received (`open_layer`).
    """
    aggregator = _aggregator or _awake()
    if aggregator is None or (_receiving_layers and is_received_above()):
        return None
    now = aggregator.now()
    if header is None:
        parent, start, previous = _begun(aggregator, broker_ns, now)
    else:
        context = context_in(header, aggregator.max_header_bytes)
        if context is None or context[2] > now + _FUTURE_NS:
            context = _unreadable(aggregator, broker_ns, now)
        parent, start, previous = context
    point = edge.points.get(parent) if edge.owner is aggregator else None
    if point is None:
        point = aggregator.circles.arrival(aggregator, edge, parent)
        if point.parent != parent:  # the pathway went in circles: another one starts
            start = previous
    samples = aggregator.samples
    samples.append((point, now, now - previous, now - start, size))  # as `record` does, 50 ns sooner
    if len(samples) >= FOLD_AT:
        aggregator.fold()
    pathway = point.hash, start, now
    _current.set(pathway)
    return pathway


def prepare(edge: Edge, size: int | None = None, key_bytes: int | None = None) -> Departure | None:
    """Make the context for a message about to be produced; `depart` counts it. None when nothing runs.

    None too inside `counted_above`. The parent is the last message *consumed* by this flow of execution (protocol
    §5). `size` is the message's in bytes; with `key_bytes`, the length of the key that the context will stand under,
    both are added to it.
    """
    parts = departing(edge, size, key_bytes)
    return None if parts is None else _new(Departure, parts)


def departing(edge: Edge, size: int | None = None, key_bytes: int | None = None) -> tuple[bytes, Sample] | None:
    """Do what `prepare` does, and return the Departure's fields, 60 ns sooner; `count` the sample. **Hot**."""
    aggregator = _aggregator or _awake()
    if aggregator is None:
        return None
    current = _current.get()
    if type(current) is _Counted:  # 20 ns, `isinstance` 50
        current = _behind(current)
        if type(current) is _Counted:
            return None
    now = aggregator.now()
    parent, start, previous = current or (0, now, now)
    point = edge.points.get(parent) if edge.owner is aggregator else None
    if point is None:
        point = aggregator.circles.departure(aggregator, edge, parent)
    wire = wire_of(point.hash, start, now)
    if size is not None and key_bytes is not None:
        size += key_bytes + len(wire)
    return wire, (point, now, now - previous, now - start, size)


def depart(departure: Departure) -> None:
    """Count a prepared checkpoint. Never raises: the message has gone."""
    count(departure.sample)


def count(sample: Sample) -> None:
    """Count the sample of a checkpoint that was `departing`. Never raises: the message has gone."""
    aggregator = _aggregator
    if aggregator is not None:
        try:
            samples = aggregator.samples
            samples.append(sample)
            if len(samples) >= FOLD_AT:
                aggregator.fold()
        except Exception as error:
            aggregator.failed(error, "hook", HOOK_FAILED)


def pathway_at(sample: Sample) -> Pathway:
    """Return the pathway behind a checkpoint."""
    point, now, _, pathway_ns, _ = sample
    return _new(Pathway, (point.hash, now - pathway_ns, now))


def produce(edge: Edge, size: int | None = None) -> str | None:
    """Record that a message is produced; return the base64 text to put on it, None when nothing runs."""
    parts = departing(edge, size)
    if parts is None:
        return None
    wire, sample = parts
    count(sample)
    return wire.decode()


def current_pathway() -> Pathway | None:
    """Return the pathway of the message that this flow of execution consumed last, or None."""
    return _pathway(_under_layers(_current.get()))


def standing() -> Context | None:
    """Return what `continuing` needs to go on as here: the current pathway, or that all is `counted_above`."""
    return _behind(_current.get())


def set_current(pathway: Context | None) -> None:
    """Make a pathway the current one, or none. Does nothing where a layer above counts what is received."""
    if _receiving_layers and is_received_above():
        return
    _current.set(pathway)


@contextmanager
def continuing(pathway: Context | None) -> Iterator[None]:
    """Make a pathway the current one inside the block, and what was current before again behind it."""
    before = _current.get()
    _current.set(pathway)
    try:
        yield
    finally:
        _current.set(before)


@contextmanager
def counted_above(*, is_receiving: bool = False) -> Iterator[None]:
    """Let no client below count or change what is produced inside the block: its checkpoint and its context are made.

    With `is_receiving`, no client below counts what it receives either. For an integration of a library that stands on
    a message client, which may be followed itself.
    """
    layer = open_layer(before := standing(), is_receiving=is_receiving)
    _current.set(layer)
    try:
        yield
    finally:
        close_layer(layer)
        _current.set(before)


@contextmanager
def counted_here() -> Iterator[None]:
    """Undo a `counted_above` inside the block, where a client below calls the program back."""
    layer = _current.get()
    _current.set(_under_layers(layer))
    try:
        yield
    finally:
        _current.set(layer)


def open_layer(before: Context | None = None, *, is_receiving: bool = True) -> Context:
    """Return what to make current, by `continuing`, around each call to the clients below, until `close_layer`.

    Those clients count nothing, nor do the tasks that start meanwhile, however long those live. With `is_receiving`
    false they count what they receive. `before` is what those tasks continue with after the layer was closed.
    """
    layer: _Counted = _new(_Counted, before or (0, 0, 0))
    layer.before, layer.is_open, layer.is_receiving = before, True, is_receiving or _is_receiving(before)
    if layer.is_receiving:
        _receiving_layers.add(id(layer))
    return layer


def close_layer(layer: Context) -> None:
    """Let the clients below count again what passes through them."""
    if isinstance(layer, _Counted):
        layer.is_open = False
        _receiving_layers.discard(id(layer))


def is_received_above() -> bool:
    """Say whether a layer above counts what is received here."""
    return _is_receiving(_behind(_current.get()))


def carried_pathway(header: str | bytes | None, broker_ns: int | None = None) -> Pathway | None:
    """Return the pathway that a message brings, before any checkpoint of its consumer; None when nothing runs."""
    aggregator = _aggregator or _awake()
    return None if aggregator is None else Pathway(*_carried(aggregator, header, broker_ns))


def next_pathway(edge: Edge, header: str | bytes | None, broker_ns: int | None = None) -> Pathway | None:
    """Return the pathway that `consume` would make current, from the message alone, recording nothing."""
    aggregator = _aggregator or _awake()
    if aggregator is None:
        return None
    parent, start, _ = _carried(aggregator, header, broker_ns)
    return Pathway(edge.point(aggregator, parent).hash, start, aggregator.now())


def not_propagated() -> None:
    """Count a produced message that could not carry its context."""
    if _aggregator is not None:
        _aggregator.accounts.note("not_propagated")


def running() -> Aggregator | None:
    """Return the aggregator that takes the checkpoints, None when nothing runs."""
    return _aggregator or _awake()


def active() -> Aggregator | None:
    """Return the aggregator that takes the checkpoints, and start nothing."""
    return _aggregator


def activate(aggregator: Aggregator | None, wake: Callable[[], Aggregator | None] | None = None) -> None:
    """Let checkpoints go to `aggregator`; with None, `wake` is asked for one at the next checkpoint."""
    global _aggregator, _wake
    _aggregator, _wake = aggregator, wake


def report_hook_error(error: Exception) -> None:
    """Keep an error of asyncdsm from the program: it is counted, and logged once a minute. Under test it is raised."""
    if _aggregator is None:
        warn_each_minute("hook", HOOK_FAILED, error, error=error)
    else:
        _aggregator.failed(error, "hook", HOOK_FAILED)


def _awake() -> Aggregator | None:
    return None if _wake is None else _wake()


def _pathway(context: Context | None) -> Pathway | None:
    return None if context is None else _new(Pathway, context)


def _under_layers(current: Context | None) -> Context | None:
    """Return the pathway that was current before all layers, open ones included."""
    while isinstance(current, _Counted):
        current = current.before
    return current


def _is_receiving(current: Context | None) -> bool:
    return isinstance(current, _Counted) and current.is_receiving


def _behind(current: Context | None) -> Context | None:
    while isinstance(current, _Counted) and not current.is_open:
        current = current.before
    return current


def _carried(aggregator: Aggregator, header: str | bytes | None, broker_ns: int | None) -> Context:
    now = aggregator.now()
    carried = None if header is None else _readable(aggregator, header, now)
    return carried or _begun(aggregator, broker_ns, now)


def _begun(aggregator: Aggregator, broker_ns: int | None, now: int) -> Context:
    """Return what a message without a context carries: nothing before, since the broker's time of it if it has one.

    A time far in the future, as a client may write, is none: it would not even fit into a context. What is no whole
    number is none either, and counted as malformed.
    """
    if type(broker_ns) is not int:
        if broker_ns is not None:
            aggregator.accounts.note("malformed")
        return 0, now, now
    start = broker_ns if 0 < broker_ns <= now + _FUTURE_NS else now
    return 0, start, start


def _readable(aggregator: Aggregator, header: str | bytes, now: int) -> Context | None:
    context = context_in(header, aggregator.max_header_bytes)
    return None if context is None or context[2] > now + _FUTURE_NS else context


def _unreadable(aggregator: Aggregator, broker_ns: int | None, now: int) -> Context:
    aggregator.accounts.note("malformed")
    return _begun(aggregator, broker_ns, now)
