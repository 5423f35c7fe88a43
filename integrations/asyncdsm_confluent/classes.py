"""The classes of clients that are written in C, and the hooks of their methods."""

from __future__ import annotations

import functools
from typing import Any

from confluent_kafka import cimpl

from asyncdsm.integration import Hook, Hooks
from asyncdsm_confluent import configuration, consume, offsets, produce
from asyncdsm_confluent.delivery_reports import observe_callbacks

HookSet = dict[str, Hook]

_PRODUCER: HookSet = {
    "__init__": configuration.hook_producer_init,
    "produce": produce.hook_produce,
    "produce_batch": produce.hook_produce_batch,
    "poll": observe_callbacks,
    "flush": observe_callbacks,
    "close": observe_callbacks,
    "__exit__": observe_callbacks,
    "send_offsets_to_transaction": offsets.observe_transaction_offsets,
    "commit_transaction": offsets.observe_commit_transaction,
    "abort_transaction": offsets.observe_abort_transaction,
}
_CONSUMER: HookSet = {
    "__init__": configuration.hook_consumer_init,
    "poll": consume.hook_poll,
    "consume": consume.hook_consume,
    "pause": consume.observe_pause,
    "resume": consume.observe_resume,
    "commit": offsets.observe_commit,
    "close": consume.observe_close,
    "__exit__": consume.observe_close,
}
_SHARE_CONSUMER: HookSet = {"__init__": configuration.hook_share_consumer_init, "poll": consume.hook_share_poll}


@functools.cache
def c_classes() -> dict[type, HookSet]:
    """Return the C classes of this release, with their hooks.

    They come from `cimpl`: other modules may have been patched already.
    """
    classes: dict[type, HookSet] = {cimpl.Producer: _PRODUCER, cimpl.Consumer: _CONSUMER}
    share: Any = getattr(cimpl, "ShareConsumer", None)
    return classes if share is None else {**classes, share: _SHARE_CONSUMER}


def put_hook_set(hooks: Hooks, owner: type, hook_set: HookSet) -> None:
    """Put hooks on those methods that a class has in this release."""
    for name, hook in hook_set.items():
        if hasattr(owner, name):
            hooks.put(owner, name, hook)


c_classes()  # before `class_swap` puts others in their places
