"""Messages on their way out: counted when the service has taken them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, NamedTuple

from asyncdsm import checkpoint
from asyncdsm.checkpoint import Departure
from asyncdsm.edge import Edge
from asyncdsm.hooks import hook_failed
from asyncdsm.log import warn_once

OURS = "asyncdsm"
"""Where a call's state stands in botocore's context of it, which all of its events share."""

Failed = Callable[[dict[str, Any]], Collection[Any]]


class Leaving(NamedTuple):
    """A message that a call hands over."""

    key: Any
    """What a failure would name it by: the Id of a batch's entry, or its place."""
    departure: Departure
    has_context: bool


def harmless(handler: Callable[..., None]) -> Callable[..., None]:
    """Keep an error of ours out of the call that the handler looks at."""

    @wraps(handler)
    def guarded(*args: Any, **event: Any) -> None:
        try:
            handler(*args, **event)
        except Exception as error:
            hook_failed(error)

    return guarded


def is_followed(context: dict[str, Any]) -> bool:
    """Say whether a call's messages are followed: not while nothing runs, nor in a URL that is signed for later."""
    return checkpoint.running() is not None and not context.get("is_presign_request")


def without_context(key: Any, edge: Edge, size: int | None) -> Leaving | None:
    """Return the checkpoint of a message that goes as it is, with one warning for each place it goes to."""
    departure = checkpoint.prepare(edge, size)
    if departure is None:
        return None
    warn_once(
        f"no-room-{edge.tags}",
        "no room for a context in a message to %s: such messages go as they are, and their pathways end there",
        ", ".join(edge.tags),
    )
    return Leaving(key, departure, has_context=False)


def counting(failed: Failed) -> Callable[..., None]:
    """Return the handler of `after-call`; `failed` reads from an answer which messages were not taken."""

    @harmless
    def sent(parsed: dict[str, Any], http_response: Any, context: dict[str, Any], **_: Any) -> None:
        leaving: list[Leaving] = context.pop(OURS, [])
        if leaving and http_response.status_code < 300:
            count(leaving, failed(parsed))

    return sent


def count(leaving: list[Leaving], failed: Collection[Any]) -> None:
    """Count those that did not fail."""
    for key, departure, has_context in leaving:
        if key not in failed:
            checkpoint.depart(departure)
            if not has_context:
                checkpoint.not_propagated()


def none_failed(_: dict[str, Any]) -> Collection[Any]:
    """Read the answer to a single message."""
    return ()


def failed_ids(parsed: dict[str, Any]) -> Collection[Any]:
    """Read the answer of SQS and SNS to a batch."""
    return {entry.get("Id") for entry in parsed.get("Failed", ())}


def failed_places(name: str) -> Failed:
    """Return what reads the answer of Kinesis and EventBridge, whose entries stand in the order of the request's."""

    def failed(parsed: dict[str, Any]) -> Collection[Any]:
        return {place for place, entry in enumerate(parsed.get(name, ())) if entry.get("ErrorCode")}

    return failed
