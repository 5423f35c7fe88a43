"""The hot path, which every message passes: of the native core, or of the plain one.

All of it is look-ups, arithmetic and counting: no hashing, no sorting, no string beyond the header itself, no lock that
anybody waits for, no await. While nothing measures, every function does nothing. `plain_checkpoint.py` says what each
function does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncdsm.core.implementation import native

if TYPE_CHECKING or native is None:
    from asyncdsm.core.plain_checkpoint import (
        PendingProduce,
        begin_produce,
        consume,
        current_recorder,
        ensure_recorder,
        finish_produce,
        incoming_pathway,
        peek_consume,
        record_not_propagated,
        report_hook_error,
        set_checkpoint_hook,
        set_recorder,
    )
else:
    PendingProduce = native.PendingProduce
    begin_produce = native.begin_produce
    consume = native.consume
    current_recorder = native.current_recorder
    ensure_recorder = native.ensure_recorder
    finish_produce = native.finish_produce
    incoming_pathway = native.incoming_pathway
    peek_consume = native.peek_consume
    record_not_propagated = native.record_not_propagated
    report_hook_error = native.report_hook_error
    set_checkpoint_hook = native.set_checkpoint_hook
    set_recorder = native.set_recorder

__all__ = [
    "PendingProduce",
    "begin_produce",
    "consume",
    "current_recorder",
    "ensure_recorder",
    "finish_produce",
    "incoming_pathway",
    "peek_consume",
    "record_not_propagated",
    "report_hook_error",
    "set_checkpoint_hook",
    "set_recorder",
]
