"""Messages on their way out: counted when the service has taken them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from typing import Any, NamedTuple

from asyncdsm._internal.log import warn_once
from asyncdsm.core import checkpoint
from asyncdsm.core.checkpoint import PendingProduce, report_hook_error
from asyncdsm.core.edge import Edge

OURS = "asyncdsm"
"""Where a call's state stands in botocore's context of it, which all of its events share."""

FailedKeys = Callable[[dict[str, Any]], Collection[Any]]
"""Reads from an answer which messages were not taken."""

NO_ROOM = "it has ten attributes, or nearly the largest size"
NO_OBJECT = "its data is no JSON object"


class Leaving(NamedTuple):
    """A message that a call hands over."""

    key: Any
    """What a failure would name it by: the Id of a batch's entry, or its place."""
    pending: PendingProduce
    has_context: bool


Message = dict[str, Any]
Addressed = tuple[Message, Leaving | None]
"""A message as it is sent, a copy where it got a context, and its checkpoint; None where there is none to count."""


def harmless(handler: Callable[..., None]) -> Callable[..., None]:
    """Keep an error of ours out of the call that the handler looks at."""

    @wraps(handler)
    def guarded(*args: Any, **event: Any) -> None:
        try:
            handler(*args, **event)
        except Exception as error:
            report_hook_error(error)

    return guarded


def is_followed(context: dict[str, Any]) -> bool:
    """Say whether a call's messages are followed: not while nothing runs, nor in a URL that is signed for later."""
    return checkpoint.ensure_recorder() is not None and not context.get("is_presign_request")


def without_context(key: Any, edge: Edge, size: int | None, why: str) -> Leaving | None:
    """Return the checkpoint of a message that goes as it is, with one warning for each place it goes to."""
    pending = checkpoint.begin_produce(edge, size)
    if pending is None:
        return None
    warn_once(
        f"no-context-{edge.tags}",
        "a message carries no context, for %s: its pathway ends there, and so do those of others like it (%s)",
        why,
        ", ".join(edge.tags),
    )
    return Leaving(key, pending, has_context=False)


def address_each(
    messages: Sequence[Message], address: Callable[[int, Message], Addressed]
) -> tuple[list[Message], list[Leaving | None]]:
    """Return a batch's messages, addressed one by one, and their checkpoints."""
    addressed = [address(place, message) for place, message in enumerate(messages)]
    return [message for message, _ in addressed], [leaving for _, leaving in addressed]


def counting(failed: FailedKeys) -> Callable[..., None]:
    """Return the handler of `after-call`."""

    @harmless
    def sent(parsed: dict[str, Any], http_response: Any, context: dict[str, Any], **_: Any) -> None:
        leaving: list[Leaving | None] = context.pop(OURS, [])
        if leaving and http_response.status_code < 300:
            count(leaving, failed(parsed))

    return sent


def count(leaving: list[Leaving | None], failed: Collection[Any]) -> None:
    """Count those that did not fail."""
    for each in leaving:
        if each is not None and each.key not in failed:
            checkpoint.finish_produce(each.pending[1])
            if not each.has_context:
                checkpoint.record_not_propagated()


def none_failed(_: dict[str, Any]) -> Collection[Any]:
    """Read the answer to a single message."""
    return ()


def failed_ids(parsed: dict[str, Any]) -> Collection[Any]:
    """Read the answer of SQS and SNS to a batch."""
    return [entry.get("Id") for entry in _entries(parsed, "Failed")]


def failed_places(name: str) -> FailedKeys:
    """Return what reads the answer of Kinesis and EventBridge, whose entries stand in the order of the request's."""

    def failed(parsed: dict[str, Any]) -> Collection[Any]:
        return {place for place, entry in enumerate(_entries(parsed, name)) if entry.get("ErrorCode")}

    return failed


def _entries(parsed: dict[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return the entries of an answer, whatever a stub has put there; what is no entry is an empty one."""
    entries = parsed.get(name)
    if not isinstance(entries, list | tuple):
        return []
    return [entry if isinstance(entry, Mapping) else {} for entry in entries]
