"""SNS: Publish, PublishBatch.

Messages to phone numbers and to single devices are sent as they are: nobody would read a context there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asyncdsm.integration import guarded
from asyncdsm.integration.formats import aws
from asyncdsm_botocore import attributes
from asyncdsm_botocore.produce import STATE_KEY, count_accepted, failed_ids, is_call_measured, no_failures

_SHAPE = attributes.MessageShape("Message", "Binary")


def make_sns_handlers() -> Mapping[str, Callable[..., None]]:
    """Return the handlers, by the names of their events."""
    return {
        "before-parameter-build.sns.Publish": _publish,
        "after-call.sns.Publish": count_accepted(no_failures),
        "before-parameter-build.sns.PublishBatch": _publish_batch,
        "after-call.sns.PublishBatch": count_accepted(failed_ids),
    }


@guarded
def _publish(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    topic = _topic_arn(params.get("TopicArn") or params.get("TargetArn"))
    if topic and is_call_measured(context):
        message, pending = attributes.prepare_message(params, _SHAPE, aws.edges["out", "sns", topic])
        params.update(message)
        context[STATE_KEY] = [pending]


@guarded
def _publish_batch(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    topic, entries = _topic_arn(params.get("TopicArn")), params.get("PublishBatchRequestEntries")
    if topic and isinstance(entries, list | tuple) and is_call_measured(context):
        edge = aws.edges["out", "sns", topic]
        prepared = attributes.prepare_entries(entries, _SHAPE, edge)
        params["PublishBatchRequestEntries"], context[STATE_KEY] = prepared


def _topic_arn(arn: Any) -> str | None:
    """Return the ARN of a topic; None for that of a device, which has a path: each would become an edge."""
    return arn if isinstance(arn, str) and "/" not in arn else None
