"""What a consumed message remembers: its pathway, for it does not say which queue it came from, nor when that was.

Kept in a slot of aio-pika's messages that none of its versions uses: nothing of the message that a program can see is
changed. Where a later version has none, it is kept beside the message.
"""

from __future__ import annotations

from typing import Any

from aio_pika import Message

from asyncdsm.core.pathway import Context
from asyncdsm.integration import pathway_cache
from asyncdsm.integration.formats.amqp import PATHWAY_SLOT

_slot: Any = vars(Message).get(PATHWAY_SLOT)


def remember(message: Any, pathway: Context) -> None:
    """Keep the pathway of a message."""
    if _slot is None:
        pathway_cache.store_pathway(message, _place_of(message), pathway)
    else:
        _slot.__set__(message, pathway)  # past the lock of a message that needs no acknowledgement


def recall(message: Any) -> Context | None:
    """Return the pathway of a message that was counted already, None for any other."""
    if _slot is None:
        return pathway_cache.lookup_pathway(message, _place_of(message))
    pathway: Context | None = getattr(message, PATHWAY_SLOT, None)
    return pathway


def _place_of(message: Any) -> tuple[Any, ...]:
    return message.consumer_tag, message.delivery_tag, message.message_id
