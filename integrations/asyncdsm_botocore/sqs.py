"""SQS: SendMessage, SendMessageBatch, ReceiveMessage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from asyncdsm.integration import ensure_recorder, guarded, is_consume_suppressed, set_current
from asyncdsm.integration.formats import aws
from asyncdsm.integration.formats.json_context import KEY
from asyncdsm.integration.formats.transactions import SQS_PRODUCE
from asyncdsm_botocore import attributes, receive_calls
from asyncdsm_botocore.consume import follow_response, is_from_service, read_message
from asyncdsm_botocore.produce import (
    STATE_KEY,
    PendingMessage,
    count_accepted,
    failed_ids,
    is_call_measured,
    no_failures,
)

_SHAPE = attributes.MessageShape("MessageBody", "String")
_MOST_NAMES = 10


class _ReceiveCall(NamedTuple):
    """What is known of a call to ReceiveMessage."""

    queue: str
    hides_context: bool
    """Whether the program did not ask for the attribute with the context, and so must not see it."""


def make_sqs_handlers() -> Mapping[str, Callable[..., None]]:
    """Return the handlers, by the names of their events."""
    return {
        "creating-client-class.sqs": receive_calls.hook_new_class,
        "before-parameter-build.sqs.SendMessage": _send_message,
        "after-call.sqs.SendMessage": count_accepted(no_failures),
        "before-parameter-build.sqs.SendMessageBatch": _send_batch,
        "after-call.sqs.SendMessageBatch": count_accepted(failed_ids),
        "before-parameter-build.sqs.ReceiveMessage": _before_receive,
        "after-call.sqs.ReceiveMessage": _after_receive,
    }


@guarded
def _send_message(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    queue = _queue_of(params)
    if queue and is_call_measured(context):
        given = params.get("MessageAttributes")
        message, pending = attributes.prepare_message(params, _SHAPE, aws.edges["out", "sqs", queue])
        params.update(message)
        context[STATE_KEY] = [_keep_attributes(pending, given)]


@guarded
def _send_batch(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    queue, entries = _queue_of(params), params.get("Entries")
    if queue and isinstance(entries, list | tuple) and is_call_measured(context):
        edge = aws.edges["out", "sqs", queue]
        params["Entries"], pending = attributes.prepare_entries(entries, _SHAPE, edge)
        given = [entry.get("MessageAttributes") if isinstance(entry, dict) else None for entry in entries]
        context[STATE_KEY] = list(map(_keep_attributes, pending, given))


def _keep_attributes(pending: PendingMessage | None, given: Any) -> PendingMessage | None:
    """Keep the attributes of a message until the service has accepted it, if they may have a transaction's id."""
    return pending._replace(attributes=given) if SQS_PRODUCE and pending is not None and given else pending


@guarded
def _before_receive(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    queue = _queue_of(params)
    if not queue or not is_call_measured(context) or is_consume_suppressed():
        return
    set_current(None)  # a program that asks for more messages has finished the previous ones
    names = params.get("MessageAttributeNames", [])
    is_added = isinstance(names, list | tuple) and len(names) < _MOST_NAMES and not _is_asked_for(names)
    if is_added:
        params["MessageAttributeNames"] = [*names, KEY]
    context[STATE_KEY] = _ReceiveCall(queue, hides_context=is_added)


def _is_asked_for(names: Sequence[Any]) -> bool:
    """Say whether the names include the attribute with the context: by its name, by `All`, or by a prefix."""
    return any(
        name in (KEY, "All") or (isinstance(name, str) and name.endswith(".*") and KEY.startswith(name[:-2]))
        for name in names
    )


@guarded
def _after_receive(parsed: dict[str, Any], http_response: Any, context: dict[str, Any], **_: Any) -> None:
    call: _ReceiveCall | None = context.pop(STATE_KEY, None)
    if call is None:
        return
    try:
        if ensure_recorder() is not None:
            follow_response(parsed, "Messages", http_response, read_message, aws.edges["in", "sqs", call.queue])
    finally:
        if call.hides_context and is_from_service(http_response):
            attributes.hide_contexts(parsed.get("Messages"))


def _queue_of(params: dict[str, Any]) -> str | None:
    url = params.get("QueueUrl")
    return aws.queue_name(url) if isinstance(url, str) else None
