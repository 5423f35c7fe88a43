"""SQS: SendMessage, SendMessageBatch, ReceiveMessage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from asyncdsm.core import checkpoint, current
from asyncdsm.integration.formats import aws
from asyncdsm_botocore import asking, attributes
from asyncdsm_botocore.departing import OURS, counting, failed_ids, harmless, is_followed, none_failed
from asyncdsm_botocore.hiding import hide_contexts
from asyncdsm_botocore.received import follow_answer, is_from_service, read_queued

_SENT = attributes.Kind("MessageBody", "String")
_MOST_NAMES = 10


class _Asked(NamedTuple):
    """What a call to ReceiveMessage was for."""

    queue: str
    is_for_us: bool
    """Whether the program did not ask for our attribute, so that it must not see it."""


def handlers() -> Mapping[str, Callable[..., None]]:
    """Return the handlers, by their events."""
    return {
        "creating-client-class.sqs": asking.on_class,
        "before-parameter-build.sqs.SendMessage": _send_message,
        "after-call.sqs.SendMessage": counting(none_failed),
        "before-parameter-build.sqs.SendMessageBatch": _send_batch,
        "after-call.sqs.SendMessageBatch": counting(failed_ids),
        "before-parameter-build.sqs.ReceiveMessage": _ask,
        "after-call.sqs.ReceiveMessage": _received,
    }


@harmless
def _send_message(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    queue = _queue(params)
    if queue and is_followed(context):
        message, leaving = attributes.address(params, _SENT, aws.edge("out", "sqs", queue))
        params.update(message)
        context[OURS] = [leaving]


@harmless
def _send_batch(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    queue, entries = _queue(params), params.get("Entries")
    if queue and isinstance(entries, list | tuple) and is_followed(context):
        params["Entries"], context[OURS] = attributes.address_all(entries, _SENT, aws.edge("out", "sqs", queue))


@harmless
def _ask(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    queue = _queue(params)
    if not queue or not is_followed(context) or current.is_consume_suppressed():
        return
    current.set_current(None)  # who asks for the next messages is done with the last ones
    names = params.get("MessageAttributeNames", [])
    asks = isinstance(names, list | tuple) and len(names) < _MOST_NAMES and not _asks(names)
    if asks:
        params["MessageAttributeNames"] = [*names, aws.KEY]
    context[OURS] = _Asked(queue, asks)


def _asks(names: Sequence[Any]) -> bool:
    """Say whether our attribute is among those asked for: by its name, by `All`, or by the beginning of a name."""
    return any(
        name in (aws.KEY, "All") or (isinstance(name, str) and name.endswith(".*") and aws.KEY.startswith(name[:-2]))
        for name in names
    )


@harmless
def _received(parsed: dict[str, Any], http_response: Any, context: dict[str, Any], **_: Any) -> None:
    asked: _Asked | None = context.pop(OURS, None)
    if asked is None:
        return
    try:
        if checkpoint.ensure_recorder() is not None:
            follow_answer(parsed, "Messages", http_response, read_queued, aws.edge("in", "sqs", asked.queue))
    finally:
        if asked.is_for_us and is_from_service(http_response):
            hide_contexts(parsed.get("Messages"))


def _queue(params: dict[str, Any]) -> str | None:
    url = params.get("QueueUrl")
    return aws.queue_name(url) if isinstance(url, str) else None
