"""C's own classes, and the hooks of their methods."""

from __future__ import annotations

import functools
from typing import Any

from confluent_kafka import cimpl

from asyncdsm.integration.hooks import Hook, Hooks
from asyncdsm_confluent import configuration, consume, offsets, produce
from asyncdsm_confluent.reports import note_reports

HookSet = dict[str, Hook]

_PRODUCER: HookSet = {
    "__init__": configuration.producer,
    "produce": produce.produce,
    "produce_batch": produce.produce_batch,
    "poll": note_reports,
    "flush": note_reports,
    "close": note_reports,
    "__exit__": note_reports,
    "send_offsets_to_transaction": offsets.note_transaction_offsets,
    "commit_transaction": offsets.note_transaction,
    "abort_transaction": offsets.forget_transaction,
}
_CONSUMER: HookSet = {
    "__init__": configuration.consumer,
    "poll": consume.poll,
    "consume": consume.consume,
    "pause": consume.note_pause,
    "resume": consume.note_resume,
    "commit": offsets.note_commit,
    "close": consume.forget_lag,
    "__exit__": consume.forget_lag,
}
_SHARE_CONSUMER: HookSet = {"__init__": configuration.share_consumer, "poll": consume.poll_shared}


@functools.cache
def c_kinds() -> dict[type, HookSet]:
    """Return the classes of this version: those of modules that somebody patched already are not C's."""
    kinds: dict[type, HookSet] = {cimpl.Producer: _PRODUCER, cimpl.Consumer: _CONSUMER}
    share: Any = getattr(cimpl, "ShareConsumer", None)
    return kinds if share is None else {**kinds, share: _SHARE_CONSUMER}


def put(hooks: Hooks, owner: type, of_methods: HookSet) -> None:
    """Put hooks on a class, as far as this version has their methods."""
    for name, hook in of_methods.items():
        if hasattr(owner, name):
            hooks.put(owner, name, hook)


c_kinds()  # before `names` puts others in their place
