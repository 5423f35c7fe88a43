"""The hot path: the current pathway, and the checkpoints that make and follow it.

Everything here is look-ups, arithmetic and one append: no hashing, no sorting, no string built beyond the header
itself, no lock, no await. While no `DataStreams` runs, every function does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from asyncdsm.aggregate import Aggregator, Sample
from asyncdsm.edge import Edge
from asyncdsm.pathway import Pathway

# .NET ignores a context more than 60 s in the future (protocol §3): its latencies would be nonsense for everybody.
_FUTURE_NS = 60_000_000_000

HOOK_FAILED = "a hook failed; the message went on: %r"

_current: ContextVar[Pathway | None] = ContextVar("asyncdsm_pathway", default=None)
_aggregator: Aggregator | None = None
_wake: Callable[[], Aggregator | None] | None = None
_new = tuple.__new__
_decode = Pathway.decode_base64


class Departure(NamedTuple):
    """A produce checkpoint not counted yet: put the context on the message, `depart` when the client took it."""

    pathway: Pathway
    wire: bytes
    """The context's base64 text, as ASCII bytes."""
    sample: Sample

    @property
    def header(self) -> str:
        """The context's base64 text."""
        return self.wire.decode("ascii")


class _Counted(Pathway):
    """The current pathway while a message goes down through a client, below an integration that has counted it.

    Tasks made meanwhile copy it, and may live longer: behind the block it stands for what was current before.
    """

    before: Pathway | None
    is_open: bool


def consume(
    edge: Edge, header: str | bytes | None = None, size: int | None = None, broker_ns: int | None = None
) -> Pathway | None:
    """Record that a message was consumed, and make its pathway the current one.

    `header` is the context's base64 text; without one, or with one that cannot be read, a pathway starts here, at
    the broker's time of the message if there is one, and never on the message before (protocol §5). Returns the
    pathway, or None when nothing runs.
    """
    aggregator = _aggregator or _awake()
    if aggregator is None:
        return None
    now = aggregator.now()
    carried = None
    if header is not None:
        carried = _readable(aggregator, header, now)
        if carried is None:
            aggregator.accounts.note("malformed")
    parent, start, previous = carried or _begun(broker_ns, now)
    point = edge.points.get(parent) if edge.owner is aggregator else None
    if point is None:
        point = edge.point(aggregator, parent)
    aggregator.record((point, now, now - previous, now - start, size))
    pathway = _new(Pathway, (point.hash, start, now))
    _current.set(pathway)
    return pathway


def prepare(edge: Edge, size: int | None = None, key_bytes: int | None = None) -> Departure | None:
    """Make the context for a message about to be produced; `depart` counts it. None when nothing runs.

    None too inside `counted_above`. The parent is the last message *consumed* by this flow of execution (protocol
    §5). `size` is the message's in bytes; with `key_bytes`, the length of the key that the context will stand under,
    both are added to it.
    """
    aggregator = _aggregator or _awake()
    if aggregator is None:
        return None
    current = _current.get()
    if current.__class__ is _Counted:
        current = _behind(current)
        if current.__class__ is _Counted:
            return None
    now = aggregator.now()
    parent, start, previous = current or (0, now, now)
    point = edge.points.get(parent) if edge.owner is aggregator else None
    if point is None:
        point = edge.point(aggregator, parent)
    pathway = _new(Pathway, (point.hash, start, now))
    wire = pathway.wire()
    if size is not None and key_bytes is not None:
        size += key_bytes + len(wire)
    return _new(Departure, (pathway, wire, (point, now, now - previous, now - start, size)))


def depart(departure: Departure) -> None:
    """Count a prepared checkpoint. Never raises: the message has gone."""
    aggregator = _aggregator
    if aggregator is not None:
        try:
            aggregator.record(departure.sample)
        except Exception as error:
            aggregator.failed(error, "hook", HOOK_FAILED)


def produce(edge: Edge, size: int | None = None) -> str | None:
    """Record that a message is produced; return the base64 text to put on it, None when nothing runs."""
    departure = prepare(edge, size)
    if departure is None:
        return None
    depart(departure)
    return departure.header


def current_pathway() -> Pathway | None:
    """Return the pathway of the message that this flow of execution consumed last, or None."""
    current = _current.get()
    while isinstance(current, _Counted):
        current = current.before
    return current


def standing() -> Pathway | None:
    """Return what `continuing` needs to go on as here: the current pathway, or that all is `counted_above`."""
    return _behind(_current.get())


def set_current(pathway: Pathway | None) -> None:
    """Make a pathway the current one, or none."""
    _current.set(pathway)


@contextmanager
def continuing(pathway: Pathway | None) -> Iterator[Pathway | None]:
    """Make a pathway the current one inside the block, and what was current before again behind it."""
    before = _current.get()
    _current.set(pathway)
    try:
        yield pathway
    finally:
        _current.set(before)


@contextmanager
def counted_above() -> Iterator[None]:
    """Let nothing below count or change what is produced inside the block: its checkpoint and its context are made.

    For an integration of what stands above a message client, which may be followed itself.
    """
    before = standing()
    counted: _Counted = _new(_Counted, before or (0, 0, 0))
    counted.before, counted.is_open = before, True
    _current.set(counted)
    try:
        yield
    finally:
        counted.is_open = False
        _current.set(before)


def carried_pathway(header: str | bytes | None, broker_ns: int | None = None) -> Pathway | None:
    """Return the pathway that a message brings, before any checkpoint of its consumer; None when nothing runs."""
    aggregator = _aggregator or _awake()
    return None if aggregator is None else _carried(aggregator, header, broker_ns)


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


def _awake() -> Aggregator | None:
    return None if _wake is None else _wake()


def _behind(current: Pathway | None) -> Pathway | None:
    while isinstance(current, _Counted) and not current.is_open:
        current = current.before
    return current


def _carried(aggregator: Aggregator, header: str | bytes | None, broker_ns: int | None) -> Pathway:
    now = aggregator.now()
    carried = None if header is None else _readable(aggregator, header, now)
    return carried or _begun(broker_ns, now)


def _begun(broker_ns: int | None, now: int) -> Pathway:
    """Return what a message without a context carries: nothing before, since the broker's time of it if it has one.

    A time far in the future, as a client may write, is none: it would not even fit into a context.
    """
    start = broker_ns if broker_ns is not None and 0 < broker_ns <= now + _FUTURE_NS else now
    return Pathway(0, start, start)


def _readable(aggregator: Aggregator, header: str | bytes, now: int) -> Pathway | None:
    if len(header) > aggregator.max_header_bytes:
        return None
    pathway = _decode(header)
    return None if pathway is None or pathway[2] > now + _FUTURE_NS else pathway
