"""The current pathway: that of the message which this flow of execution consumed last.

It is kept in a context variable, so every asyncio task and every thread has its own. An integration of a library that
uses a message client, which may be followed itself, puts a *layer* there instead: clients below the layer count
nothing, so each message is counted once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from asyncdsm.core.pathway import Context, Pathway

_new = tuple.__new__  # 80 ns; calling the class of a named tuple takes 200

current_context: ContextVar[Context | None] = ContextVar("asyncdsm_pathway", default=None)
"""For the hot path only; everybody else calls the functions below."""
consume_layers: set[int] = set()
"""The ids of the open layers that count what is received. Nearly always empty: the hot path asks whether it is in 5 ns;
to ask for the type of the current pathway would take 45."""


class Layer(Context):
    """What is current while a message passes through a client below an integration that counts it.

    Tasks that start meanwhile copy it and may live longer: once it is closed, it means what was current before.
    """

    before: Context | None
    is_open: bool
    counts_consumes: bool
    """Whether the integration above counts what is received, too."""


def current_pathway() -> Pathway | None:
    """Return the pathway of the message that this task or thread consumed last; None if there is none.

    A new task begins with the pathway of the task that made it.
    """
    context = skip_layers(current_context.get())
    return None if context is None else _new(Pathway, context)


def set_current(pathway: Context | None) -> None:
    """Make a pathway the current one, or None. Does nothing where a layer above counts what is received."""
    if consume_layers and is_consume_suppressed():
        return
    current_context.set(pathway)


def snapshot() -> Context | None:
    """Return what is current here, a pathway or an open layer, for `restored`."""
    return skip_closed_layers(current_context.get())


@contextmanager
def restored(snapshot: Context | None) -> Iterator[None]:
    """Make a snapshot or a pathway the current one inside the block, as in `with restored(snapshot()):`.

    Afterwards, what was current before is current again.
    """
    before = current_context.get()
    current_context.set(snapshot)
    try:
        yield
    finally:
        current_context.set(before)


@contextmanager
def suppress_nested_checkpoints(*, consumes: bool = False) -> Iterator[None]:
    """Keep clients below from counting or changing what is produced inside the block.

    Its checkpoint has been made, and its context is on the message. With `consumes`, those clients do not count what
    they receive either.
    """
    layer = open_layer(before := snapshot(), consumes=consumes)
    current_context.set(layer)
    try:
        yield
    finally:
        close_layer(layer)
        current_context.set(before)


@contextmanager
def allow_nested_checkpoints() -> Iterator[None]:
    """Undo `suppress_nested_checkpoints` inside the block, where a client below calls the program back."""
    layer = current_context.get()
    current_context.set(skip_layers(layer))
    try:
        yield
    finally:
        current_context.set(layer)


def open_layer(before: Context | None = None, *, consumes: bool = True) -> Context:
    """Return a layer. Make it current, with `restored`, around each call to the clients below, until `close_layer`.

    Those clients count nothing, nor do the tasks that start meanwhile, however long they live. With `consumes` false
    they do count what they receive. `before` is what those tasks continue with after the layer was closed.
    """
    layer: Layer = _new(Layer, before or (0, 0, 0))
    layer.before, layer.is_open, layer.counts_consumes = before, True, consumes or _counts_consumes(before)
    if layer.counts_consumes:
        consume_layers.add(id(layer))
    return layer


def close_layer(layer: Context) -> None:
    """Let the clients below count again what passes through them."""
    if isinstance(layer, Layer):
        layer.is_open = False
        consume_layers.discard(id(layer))


def is_consume_suppressed() -> bool:
    """Say whether a layer above counts what is received here."""
    return _counts_consumes(snapshot())


def skip_closed_layers(context: Context | None) -> Context | None:
    """Return the innermost layer that is still open, or else the pathway that was current before all layers."""
    while isinstance(context, Layer) and not context.is_open:
        context = context.before
    return context


def skip_layers(context: Context | None) -> Context | None:
    """Return the pathway that was current before all layers, open ones included."""
    while isinstance(context, Layer):
        context = context.before
    return context


def _counts_consumes(context: Context | None) -> bool:
    return isinstance(context, Layer) and context.counts_consumes
